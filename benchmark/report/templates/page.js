"use strict";
// Sorts a table by a column: up, down, as printed. Entries without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const printed = [...body.rows];
  const headers = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  headers.forEach((header, column) => {
    if (!("sort" in header.dataset)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" };
      const order = next[header.getAttribute("aria-sort") || "none"];
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      if (order !== "none") header.setAttribute("aria-sort", order);
      body.append(...(order === "none" ? printed : sorted(printed, column, order)));
    });
  });
}

function sorted(rows, column, order) {
  const sign = order === "ascending" ? 1 : -1;
  const value = (row) => {
    const { dataset, textContent } = row.cells[column];
    return dataset.value ?? (textContent.trim() === "" || isNaN(textContent) ? undefined : textContent);
  };
  const known = rows.filter((row) => value(row) !== undefined);
  const unknown = rows.filter((row) => value(row) === undefined);
  known.sort((a, b) => sign * compared(value(a), value(b)));
  return [...known, ...unknown];
}

function compared(a, b) {
  return isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
}

// A link to a record opens what hides it, and closes the details it was followed from.
function reveal() {
  const target = document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (const open of document.querySelectorAll("[popover]")) {
    if (open !== target && open.matches(":popover-open")) open.hidePopover();
  }
  for (let one = target; one; one = one.parentElement) {
    if (one instanceof HTMLDetailsElement) one.open = true;
  }
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
