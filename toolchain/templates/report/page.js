// Sortable tables. Without this script every table is complete, in the order of the report.
"use strict";
{
  const text = (row, column) => row.cells[column].textContent.trim();
  const number = (row, column) => row.cells[column].dataset.value === undefined ? NaN : Number(row.cells[column].dataset.value);
  const empty = (row, column) => row.cells[column].classList.contains("none");

  const compare = (column, numeric, direction) => (a, b) => {
    if (empty(a, column) !== empty(b, column)) return empty(a, column) ? 1 : -1; // what is not known comes last, either way
    const order = numeric ? number(a, column) - number(b, column) : text(a, column).localeCompare(text(b, column), "en", { numeric: true });
    return direction * order;
  };

  const sort = (table, heading) => {
    const column = heading.cellIndex;
    const direction = heading.ariaSort === "ascending" ? -1 : 1;
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.ariaSort = direction === 1 ? "ascending" : "descending";
    for (const body of table.tBodies) {
      const rows = [...body.rows];
      const known = rows.filter((row) => !empty(row, column));
      const numeric = known.length > 0 && known.every((row) => !Number.isNaN(number(row, column)));
      body.append(...rows.sort(compare(column, numeric, direction)));
    }
  };

  const prepare = (part) => {
    for (const table of part.querySelectorAll("table.sortable")) {
      for (const heading of table.tHead.rows[0].cells) {
        const button = document.createElement("button");
        button.type = "button";
        button.append(...heading.childNodes);
        button.addEventListener("click", () => sort(table, heading));
        heading.append(button);
      }
    }
  };
  prepare(document);
  addEventListener("unfolded", (event) => prepare(event.target)); // other scripts put parts into the page later

  // Paper shows what the screen folds away.
  const folded = () => document.querySelectorAll("details:not([open])");
  let opened = [];
  addEventListener("beforeprint", () => { opened = [...folded()]; for (const one of opened) one.open = true; });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
}
