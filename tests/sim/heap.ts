// What is to happen and when: a binary heap ordered by (time, order of asking).

/** One object of its own for what happens often: a closure and what it holds are two more, for each time. */
export abstract class Happening {
  /** Set by World.plan. */
  atUs = 0;
  order = 0;

  abstract run(): void;
}

export class Heap {
  private readonly items: Happening[] = [];
  /** What was due at once when it was asked for, in that order: soon[first, end). Half of all needs no place in the heap. */
  private readonly soon: Happening[] = [];
  private first = 0;
  private end = 0;

  peek(): Happening | undefined {
    const top = this.items[0];
    if (this.first === this.end) return top;
    const due = this.soon[this.first]!;
    return top === undefined || before(due, top) ? due : top;
  }

  /** item comes behind all that were given to this before. */
  append(item: Happening): void {
    this.soon[this.end++] = item;
  }

  push(item: Happening): void {
    const items = this.items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = items[up]!;
      if (!before(item, parent)) break;
      items[at] = parent;
      at = up;
    }
    items[at] = item;
  }

  /** Removes what peek() returned. */
  drop(item: Happening): void {
    if (this.first === this.end || item !== this.soon[this.first]) return this.dropTop();
    this.first++;
    if (this.first === this.end) this.first = this.end = 0;
  }

  private dropTop(): void {
    const items = this.items;
    const last = items.pop()!;
    const length = items.length;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= length) break;
      if (down + 1 < length && before(items[down + 1]!, items[down]!)) down++;
      const child = items[down]!;
      if (!before(child, last)) break;
      items[at] = child;
      at = down;
    }
    items[at] = last;
  }
}

function before(a: Happening, b: Happening): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}
