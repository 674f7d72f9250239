// How servers and addresses are written.
import { describe, expect, test } from "bun:test";
import { addressText, parseListen, parseServer, sameServerKey, SOCKET_PATH_MAX } from "../../src/config/servers.ts";

function server(text: string) {
  const read = parseServer({ flag: "-s", text });
  if (!read.ok) throw new Error(`${text}: ${read.problem.fault}`);
  return read.value;
}

function fault(text: string): string {
  const read = parseServer({ flag: "-s", text });
  return read.ok ? `taken as ${read.value.label}` : read.problem.fault;
}

describe("parseServer", () => {
  test("reads host and port", () => {
    expect(server("10.0.0.1:11212")).toEqual({
      address: { kind: "tcp", host: "10.0.0.1", port: 11212 }, weight: 1, name: null, label: "10.0.0.1:11212",
    });
    expect(server("cache_1.example-site.com:1").label).toBe("cache_1.example-site.com:1");
  });
  test("takes 11211 for a port that is not given, as magent does", () => {
    expect(server("cache1").label).toBe("cache1:11211");
    expect(server("[::1]").label).toBe("[::1]:11211");
  });
  test("reads weight and name", () => {
    const named = server("10.0.0.1:11211:5 shard-one");
    expect(named.weight).toBe(5);
    expect(named.name).toBe("shard-one");
    expect(named.label).toBe("10.0.0.1:11211");
  });
  test("reads IPv6 in brackets", () => {
    const six = server("[fe80::1%eth0]:11212:2");
    expect(six.address).toEqual({ kind: "tcp", host: "fe80::1%eth0", port: 11212 });
    expect(six.weight).toBe(2);
    expect(server("[::ffff:10.0.0.1]:1").address).toEqual({ kind: "tcp", host: "::ffff:10.0.0.1", port: 1 });
  });
  test("reads unix sockets, with and without weight and name", () => {
    expect(server("/run/m.sock")).toEqual({
      address: { kind: "unix", path: "/run/m.sock" }, weight: 1, name: null, label: "/run/m.sock",
    });
    expect(server("/run/m.sock:7").weight).toBe(7);
    expect(server("/run/m.sock:7 a").name).toBe("a");
    expect(server("/run/a:b/m.sock").label).toBe("/run/a:b/m.sock");
  });
  test("refuses what is none", () => {
    expect(fault("")).toBe("names no host");
    expect(fault(":11211")).toBe("names no host");
    expect(fault("1.2.3:11211")).toBe("has no such host");
    expect(fault("1.2.3.256:11211")).toBe("has no such host");
    expect(fault("a..b:11211")).toBe("has no such host");
    expect(fault("-a:11211")).toBe("has no such host");
    expect(fault("a:")).toBe("has no such port");
    expect(fault("a:0")).toBe("has no such port");
    expect(fault("a:65536")).toBe("has no such port");
    expect(fault("a:1e3")).toBe("has no such port");
    expect(fault("a:1:0")).toBe("has no such weight");
    expect(fault("a:1:-1")).toBe("has no such weight");
    expect(fault("a:1:1.5")).toBe("has no such weight");
    expect(fault("a:1:1000001")).toBe("has no such weight");
    expect(fault("/m.sock:0")).toBe("has no such weight");
    expect(fault("/m.sock:x")).toBe("has no such weight");
    expect(fault("a:1:1:1")).toBe("is IPv6 without brackets");
    expect(fault("::1:11211")).toBe("is IPv6 without brackets");
    expect(fault("[::1:11211")).toBe("is IPv6 without brackets");
    expect(fault("[1.2.3.4]:1")).toBe("has no such host");
    expect(fault("[::1::2]:1")).toBe("has no such host");
    expect(fault("[1:2:3:4:5:6:7]:1")).toBe("has no such host");
    expect(fault("a:1,b:1")).toBe("is a list");
    expect(fault("a:1 two words")).toBe("is no node name");
    expect(fault("a:1 ")).toBe("is no node name");
    expect(fault(`/${"a".repeat(SOCKET_PATH_MAX)}`)).toBe("is too long a path");
  });
  test("finds two spellings of one server", () => {
    expect(sameServerKey(server("A:11211"))).toBe(sameServerKey(server("a")));
    expect(sameServerKey(server("a:1:2"))).toBe(sameServerKey(server("a:1")));
    expect(sameServerKey(server("/A"))).not.toBe(sameServerKey(server("/a")));
  });
});

describe("parseListen", () => {
  const listen = (text: string) => parseListen({ flag: "-l", text }, 11211);
  test("takes names, IPv4 and IPv6 with and without brackets", () => {
    for (const [text, host] of [["localhost", "localhost"], ["0.0.0.0", "0.0.0.0"], ["::", "::"], ["[::1]", "::1"]] as const) {
      expect(listen(text)).toEqual({ ok: true, value: { kind: "tcp", host, port: 11211 } });
    }
  });
  test("refuses ports and nonsense", () => {
    for (const text of ["127.0.0.1:0", "[::1]:70000", "[a]", "1.2.3", "a,b", "", "::1:x"]) expect(`${text} ${listen(text)!.ok}`).toBe(`${text} false`);
  });
});

test("an address is printed as it is written", () => {
  expect(addressText({ kind: "tcp", host: "::1", port: 1 })).toBe("[::1]:1");
  expect(addressText({ kind: "tcp", host: "a", port: 1 })).toBe("a:1");
  expect(addressText({ kind: "unix", path: "/a" })).toBe("/a");
});
