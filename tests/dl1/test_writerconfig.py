"""Configuration files as the original's script takes them."""

from __future__ import annotations

import pytest

from detcore.dl1.writer.datawriter import OUTPUT_FILE_SIZE
from detcore.dl1.writer.dumper import CTAMLDataDumper
from detcore.dl1.writer.writerconfig import writer_of_config

# The settings of the original's example, in its form.
EXAMPLE = """
Data Writer:
    Settings:
        calibration_settings:
            r1_product: 'HESSIOR1Calibrator'
            extractor_product: 'NeighbourPeakIntegrator'
        output_file_size: 1073741824
        events_per_file: 500
Event Source:
    Settings: {}
Data Dumper:
    Type: 'CTAMLDataDumper'
    Settings:
        filter_settings: {complib: 'zlib', complevel: 5}
        expected_tel_types: 10
        expected_tels: 300
        expected_events: 10000
        expected_images_per_event:
            'LST:LSTCam': 0.5
        index_columns:
            - ['/Events', 'mc_energy']
            - ['tel', 'event_index']
"""


@pytest.fixture
def configured(tmp_path):
    def make(text, **more):
        (tmp_path / "config.yml").write_text(text)
        return writer_of_config(tmp_path / "config.yml", **more)

    return make


def test_the_example_of_the_original_is_understood(configured, tmp_path):
    writer = configured(EXAMPLE, write_mode="serial")
    assert writer.output_file_size == 1 << 30
    assert writer.events_per_file == 500
    assert writer.calibration_settings["extractor_product"] == "NeighbourPeakIntegrator"
    assert writer.data_dumper_class is CTAMLDataDumper
    assert writer.write_mode == "serial"
    dumper = writer.data_dumper_class(str(tmp_path / "a.h5"), **writer.dumper_settings())
    assert dumper.filters.complevel == 5
    assert dumper.index_columns == [("/Events", "mc_energy"), ("tel", "event_index")]
    dumper.close()


def test_what_is_left_out_has_its_default(configured):
    writer = configured("Data Writer:\n  Settings:\n    events_per_file: 3\nData Dumper:\n")
    assert writer.events_per_file == 3
    assert writer.output_file_size == OUTPUT_FILE_SIZE
    assert writer.data_dumper_class is CTAMLDataDumper


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "found nothing"),
        ("[]", "found list"),
        ("Data Writer: [1]", "found Data Writer"),
        ("Writer: {}", "found Writer"),
        ("Data Writer: {Setting: {}}", "found Data Writer"),
        ("Data Writer: {Settings: [1]}", "names and values"),
        ("Data Writer: {Settings: {events: 3}}", "Data Writer: no setting events; there are calibration_settings"),
        ("Data Writer: {Settings: {events_per_file: 0}}", "config.yml: events_per_file: expected at least 1"),
        ("Data Dumper: {Type: Other}", "No subclass of DL1DataDumper: Other"),
        ("Data Dumper: {Settings: {filter: 1}}", "Data Dumper: no setting filter"),
        ("a: [", "expected YAML"),
        ("!!python/object/apply:os.system ['true']", "expected YAML"),
    ],
)
def test_other_configurations_are_refused_in_words(configured, text, why):
    with pytest.raises(ValueError, match=why):
        configured(text)
