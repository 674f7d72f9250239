// Many keys that all get the same value, so that an older one shows.
import { expect } from "bun:test";
import { Client, textOf } from "./client.ts";

/** Sets k0 to k(count-1) through the proxy at port. */
export async function writeSame(port: number, count: number, value: string): Promise<void> {
  const client = await Client.open(port);
  for (let i = 0; i < count; i++) client.send(`set k${i} 0 0 ${value.length}\r\n${value}\r\n`);
  for (let i = 0; i < count; i++) expect(await client.line(20_000)).toBe("STORED");
  client.close();
}

/** What those keys are, each value once, and how many are missed. deadlineMs: as for Client.fetch. */
export async function valuesOf(client: Client, count: number, deadlineMs?: number): Promise<string[]> {
  const { values } = await client.fetch(`get ${Array.from({ length: count }, (_none, i) => `k${i}`).join(" ")}\r\n`, deadlineMs);
  return [...new Set([...values.map(({ bytes }) => textOf(bytes)), ...(values.length < count ? [`${count - values.length} misses`] : [])])];
}
