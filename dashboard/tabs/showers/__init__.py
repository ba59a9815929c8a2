"""The tab of showers."""

from dashboard.tabs.showers.tab import Tab as Tab
