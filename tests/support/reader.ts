// A client that gets the same keys again and again while rings change, and counts those that it is given.
import { expect } from "bun:test";
import { Client } from "./client.ts";

const READ_KEYS = 1000, READ_AT_ONCE = 100, READ_PACE_MS = 20, ANSWER_MS = 20_000;

/** Gets the same keys again and again, which nobody writes, and counts those it is given. */
export class Reader {
  private asked = 0;
  private hits = 0;
  private from = { asked: 0, hits: 0 };
  private under: Promise<void> = Promise.resolve();
  private running: Promise<void> = Promise.resolve();
  private stopping = false;

  private constructor(private readonly client: Client) {}

  static async start(port: number): Promise<Reader> {
    const client = await Client.open(port);
    for (let i = 0; i < READ_KEYS; i++) client.send(`set still${i} 0 0 3\r\nold\r\n`);
    for (let i = 0; i < READ_KEYS; i++) expect(await client.line(ANSWER_MS)).toBe("STORED");
    const reader = new Reader(client);
    reader.running = reader.run();
    return reader;
  }

  private async run(): Promise<void> {
    for (let from = 0; !this.stopping; from = (from + READ_AT_ONCE) % READ_KEYS) {
      await (this.under = this.get(from));
      await new Promise((resolve) => setTimeout(resolve, READ_PACE_MS)); // it is not to be the load that others wait for
    }
  }

  private async get(from: number): Promise<void> {
    this.client.send(`get ${Array.from({ length: READ_AT_ONCE }, (_none, i) => `still${from + i}`).join(" ")}\r\n`);
    for (let line = ""; line !== "END"; line = await this.client.line(ANSWER_MS)) if (line.startsWith("VALUE ")) this.hits++;
    this.asked += READ_AT_ONCE;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
    this.client.close();
  }

  /** The part that was found since this was asked last, once each key was asked for. */
  async rate(): Promise<number> {
    while (this.asked < this.from.asked + READ_KEYS) {
      await this.under;
      await new Promise((resolve) => setTimeout(resolve, READ_PACE_MS)); // until the next one is sent
    }
    const { asked, hits } = this;
    const rate = (hits - this.from.hits) / (asked - this.from.asked);
    this.from = { asked, hits };
    return rate;
  }
}
