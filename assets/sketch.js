// Placeholder until the next commit.
export function render() { return document.createElement("div"); }
