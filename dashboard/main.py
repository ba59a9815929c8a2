"""The page of one viewer; `panel serve dashboard` runs this file for each of them."""

from dashboard.page import build

build().servable(title="detcore")
