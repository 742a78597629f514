"use strict";
// The heads of a table become buttons: the best (of text, the first) on top, then the worst, then as it was written.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], written = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const missing = ["", "none", "n/a", "unknown"];
  // A cell's first line; what stands below it in small is about it.
  const text = (row, x) => (row.cells[x]?.firstChild?.textContent ?? "").trim();
  const number = (said) => (/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?(?=$|[\s,%/])/i.test(said) ? parseFloat(said) : NaN);
  heads.forEach((head, x) => {
    if (head.tagName !== "TH") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const said = new Map(written.map((row) => [row, text(row, x)]));
      const values = written.filter((row) => !missing.includes(said.get(row)));
      const numbers = values.every((row) => !Number.isNaN(number(said.get(row))));
      const first = numbers && !head.textContent.includes("\u2193") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now === first ? second : now === second ? null : first;
      const sign = next === "ascending" ? 1 : -1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      const order = numbers
        ? (a, b) => number(said.get(a)) - number(said.get(b))
        : (a, b) => said.get(a).localeCompare(said.get(b), "en", { numeric: true });
      // What is not known stays below, either way.
      if (next) body.append(...values.sort((a, b) => sign * order(a, b)), ...written.filter((row) => missing.includes(said.get(row))));
      else body.append(...written);
    });
  });
}
