// The flags of 1.6.27 and later: E, a CAS number of the client's choice, and x, which drops the value only.
import { expect, test } from "bun:test";
import { Table, type Wire } from "./harness.ts";

function newer(): Wire {
  return new Table({ version: "1.6.27" }).connect();
}

test("which versions know E", () => {
  const answers = ["1.6.18", "1.6.26", "1.6.27", "1.6.45", "1.7.0", "2.0"].map((version) => {
    const wire = new Table({ version }).connect();
    return wire.ask("ms k 1 E9 T5 c\r\na\r\n");
  });
  const refused = "CLIENT_ERROR invalid flag\r\n";
  expect(answers).toEqual([refused, refused, "HD c9\r\n", "HD c9\r\n", "HD c9\r\n", "HD c9\r\n"]);
});

test("E is the item's number, up to 64 bits, and the server goes on counting its own", () => {
  const wire = newer();
  expect(wire.ask("ms k 1 E18446744073709551615 c\r\na\r\nmg k c\r\n")).toBe("HD c18446744073709551615\r\nHD c18446744073709551615\r\n");
  expect(wire.ask("set k 0 0 1\r\nb\r\ngets k\r\n")).toBe("STORED\r\nVALUE k 0 1 1\r\nb\r\nEND\r\n");
  expect(wire.ask("ms k 1 E0 c\r\na\r\n")).toBe("HD c2\r\n");
  expect(wire.ask("ms k 1 Ex c\r\na\r\nmn\r\n")).toBe("CLIENT_ERROR bad token in command line format\r\nMN\r\n");
});

test("E in every mode of ms, with C, and in mg, md and ma", () => {
  const wire = newer();
  expect(wire.ask("ms k 1 ME E10 c\r\na\r\nms k 1 MA E11 c\r\nb\r\nms k 1 MP E12 c\r\nc\r\nms k 1 MR E13 c\r\nd\r\n"))
    .toBe("HD c10\r\nHD c11\r\nHD c12\r\nHD c13\r\n");
  expect(wire.ask("ms k 1 C13 E20 c\r\ne\r\nms k 1 C13 E21 c\r\nf\r\nmg k c v\r\n")).toBe("HD c20\r\nEX c0\r\nVA 1 c20\r\ne\r\n");
  expect(wire.ask("mg v N30 E77 c\r\nmg v c\r\n")).toBe("HD c77 W\r\nHD c77 Z\r\n");
  expect(wire.ask("md k I E99\r\nmg k c\r\nmd k I C99 E99\r\nmg k c v\r\n")).toBe("HD\r\nHD c99 X W\r\nHD\r\nVA 1 c99 X W\r\ne\r\n");
  expect(wire.ask("ma n N0 J5 E50 c v\r\nmg n c\r\nma n E51 c v\r\nmg n c v\r\n"))
    .toBe("VA 1 c50\r\n5\r\nHD c50\r\nVA 1 c51\r\n6\r\nVA 1 c51\r\n6\r\n");
});

test("ma with E on a number that gains a digit gives it to the item that is gone, as memcached does", () => {
  const wire = newer();
  wire.ask("set n 0 0 1\r\n9\r\n");
  expect(wire.ask("ma n E777 c v\r\nmg n c v\r\n")).toBe("VA 2 c777\r\n10\r\nVA 2 c2\r\n10\r\n");
});

test("append with N creates", () => {
  const wire = newer();
  expect(wire.ask("ms k 1 MA N30 c\r\na\r\nms k 1 MA N99\r\nb\r\nmg k v t\r\nms p 1 MP N0\r\nc\r\nms r 1 MR N0\r\nd\r\n"))
    .toBe("HD c1\r\nHD\r\nVA 2 t30\r\nab\r\nHD\r\nNS\r\n");
});

test("x keeps the item and drops its value and flags", () => {
  const wire = newer();
  wire.ask("ms k 3 F5 T100 E40\r\nabc\r\n");
  expect(wire.ask("md k x\r\nmg k v f c t\r\n")).toBe("HD\r\nVA 0 f0 c40 t-1\r\n\r\n");
  expect(wire.ask("md k x I T30 F6 E41 k\r\nmg k v f c t\r\n")).toBe("HD kk\r\nVA 0 f6 c41 t30 X W\r\n\r\n");
  expect(wire.ask("md nope x\r\n")).toBe("NF\r\n");
});

test("a wrong C is older or newer; only the older may store, as stale", () => {
  const wire = newer();
  wire.ask("ms k 1 E50 T100\r\na\r\n");
  expect(wire.ask("ms k 1 C60 I E61 c\r\nb\r\nms k 1 C40 I E41 T500 c\r\nc\r\nmg k v c t\r\n"))
    .toBe("EX c0\r\nHD c41\r\nVA 1 c41 t100 X W\r\nc\r\n");
});

test("flush_all: what was stored before it goes and what comes after it stays, whatever uniques they were given", () => {
  const wire = newer();
  expect(wire.ask("ms a 1 E4700000000000000001\r\nx\r\nset b 0 0 1\r\ny\r\nflush_all\r\nmg a v\r\nmg b v\r\n")).toBe("HD\r\nSTORED\r\nOK\r\nEN\r\nEN\r\n");
  expect(wire.ask("ms a 1 E9\r\nx\r\nset b 0 0 1\r\ny\r\nmg a c\r\nmg b v\r\n")).toBe("HD\r\nSTORED\r\nHD c9\r\nVA 1\r\ny\r\n");
});
