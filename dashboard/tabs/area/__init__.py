"""The tab of area detectors."""

from dashboard.tabs.area.tab import Tab as Tab
