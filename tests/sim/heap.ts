// What is to happen and when: a binary heap ordered by (time, order of asking).

export class Happening {
  constructor(
    readonly atUs: number,
    readonly order: number,
    readonly run: () => void,
  ) {}
}

export class Heap {
  private readonly items: Happening[] = [];

  get size(): number {
    return this.items.length;
  }

  peek(): Happening | undefined {
    return this.items[0];
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

  pop(): Happening | undefined {
    const items = this.items;
    const first = items[0];
    if (first === undefined) return undefined;
    const last = items.pop()!;
    const length = items.length;
    if (length === 0) return first;
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
    return first;
  }
}

function before(a: Happening, b: Happening): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}
