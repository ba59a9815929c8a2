"""The tab of DL1 images."""

from dashboard.tabs.dl1.tab import Tab as Tab
