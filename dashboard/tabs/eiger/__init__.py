"""The tab of Eiger series."""

from dashboard.tabs.eiger.tab import Tab as Tab
