import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TaskState } from "../order/task.ts";
import { CELL_WORDS, Cells, FROM } from "./cells.ts";
import { Cell, Variable } from "./variable.ts";

const LIST = 1;

function reader(cells: Cells, variable: Variable, site: number, ctx = 1): Cell {
  const cell = new Cell(cells, variable, site, ctx, ctx, 0);
  variable.addCell(cell);
  return cell;
}

describe("Cells", () => {
  it("finds readers, or forgets them: never another's number", () => {
    const cells = new Cells();
    const variables = Array.from({ length: 50 }, (_, owner) => new Variable(LIST, owner, null));
    const all = variables.flatMap((variable) =>
      Array.from({ length: 40 }, (_, site) => reader(cells, variable, site)),
    );
    const found = all.filter(({ variable, site, number }) => {
      const at = cells.find(LIST, variable.owner, site, 1, 0);
      expect([0, number]).toContain(at);
      return at === number;
    });
    expect(found.length).toBeGreaterThan(all.length / 2);
    for (const { number, variable, site } of all) {
      cells.remember(number);
      expect(cells.find(LIST, variable.owner, site, 1, 0)).toBe(number);
    }
  });

  it("takes no nonsense for a reader that looks like it", () => {
    const cells = new Cells();
    reader(cells, new Variable(LIST, 7, null), 3);
    expect(cells.find(LIST, 7, 3, 1, 0)).not.toBe(0);
    expect(cells.find(0, 7, 3 + (LIST << 16), 1, 0)).toBe(0);
    expect(cells.find(LIST + (1 << 16), 7, 3, 1, 0)).toBe(0);
    expect(cells.find(LIST, 7, -1, 1, 0)).toBe(0);
  });

  it("gives a number again when its list is gone and no log has it", () => {
    const cells = new Cells();
    const task = new TaskState();
    task.reset(5, 100);
    const { number } = reader(cells, new Variable(LIST, 7, null), 3);
    task.logRead(cells, number, 10, 0);
    cells.remove(number);
    expect(cells.find(LIST, 7, 3, 1, 0)).toBe(0);
    const other = reader(cells, new Variable(LIST, 8, null), 3);
    expect(other.number).not.toBe(number);
    expect(cells.unlog(number)).toBe(false);
    expect(reader(cells, new Variable(LIST, 9, null), 3).number).toBe(number);
  });

  it("knows whose logs mention a list, until they are too many", () => {
    const ids = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 });
    fc.assert(
      fc.property(ids, (readers) => {
        const cells = new Cells();
        const cell = reader(cells, new Variable(LIST, 7, null), 3);
        for (const id of readers) cells.log(cell.number, id);
        const changes = readers.filter((id, i) => i === 0 || readers[i - 1] !== id).length;
        expect(cells.loggers([cell])).toEqual(changes > 32 ? null : new Set(readers));
        for (const _ of readers) cells.unlog(cell.number);
        expect(cells.loggers([cell])).toEqual(new Set());
      }),
    );
  });

  it("lets those in who know an edit of main, but main itself, whose reads are no pair with it", () => {
    const cells = new Cells();
    const variable = new Variable(LIST, 7, null);
    const [guest, main] = [reader(cells, variable, 3), reader(cells, variable, 3, 0)];
    cells.setFrom(variable.cells, 42);
    expect(cells.words[guest.number * CELL_WORDS + FROM]).toBe(42);
    expect(cells.words[main.number * CELL_WORDS + FROM]).toBe(0x7fff_ffff);
  });
});
