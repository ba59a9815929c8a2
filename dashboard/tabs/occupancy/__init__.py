"""The tab of station occupancy."""

from dashboard.tabs.occupancy.tab import Tab as Tab
