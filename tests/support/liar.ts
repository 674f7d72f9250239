// A tiny memcached in this process that tells one named lie now and then: what the checker of history.ts is tried on.
// Honest without a lie. It knows just the commands that load.ts sends.
import type { TCPSocketListener } from "bun";
import { bytesOf, textOf } from "./client.ts";

/** What it does wrong, with a chance of 1 in 50 each time it could. */
export const LIES = [
  "none", "says STORED and stores nothing", "shows the version before", "misses a key that is there", "flips a byte",
  "answers another key's value", "brings a deleted key back", "increments twice", "appends twice", "says DELETED and keeps it",
  "swaps two answers of a pipeline", "an error line among values", "stores what it says it refused",
] as const;
export type Lie = (typeof LIES)[number];

export class Liar {
  readonly port: number;
  /** How often it lied. */
  lies = 0;
  readonly #lie: Lie;
  readonly #listener: TCPSocketListener<{ rest: string }>;
  readonly #items = new Map<string, { text: string; cas: number }>();
  readonly #before = new Map<string, string>();
  #cas = 0;
  #chances = 0;

  constructor(port: number, lie: Lie) {
    this.port = port;
    this.#lie = lie;
    this.#listener = Bun.listen<{ rest: string }>({
      hostname: "127.0.0.1", port,
      socket: {
        open: (socket) => {
          socket.data = { rest: "" };
        },
        data: (socket, bytes) => {
          const text = socket.data.rest + textOf(bytes);
          const { answers, used } = this.#serve(text);
          socket.data.rest = text.slice(used);
          if (answers.length > 1 && this.#lies("swaps two answers of a pipeline")) answers.unshift(...answers.splice(1, 1));
          // Answers are small next to the kernel's buffer, and the client reads them at once.
          socket.write(bytesOf(answers.join("")));
        },
      },
    });
  }

  close(): void {
    this.#listener.stop(true);
  }

  #lies(lie: Lie): boolean {
    if (this.#lie !== lie || ++this.#chances % 50 !== 0) return false;
    this.lies += 1;
    return true;
  }

  #serve(text: string): { answers: string[]; used: number } {
    const answers: string[] = [];
    let used = 0;
    for (;;) {
      const end = text.indexOf("\r\n", used);
      if (end === -1) return { answers, used };
      const words = text.slice(used, end).split(" ");
      let next = end + 2;
      let data = "";
      if (["set", "add", "cas", "append"].includes(words[0]!)) {
        const length = Number(words[4]);
        if (text.length < next + length + 2) return { answers, used };
        data = text.slice(next, next + length);
        next += length + 2;
      }
      used = next;
      answers.push(this.#answer(words, data));
    }
  }

  #answer(words: string[], data: string): string {
    const key = words[1] ?? "";
    const item = this.#items.get(key);
    switch (words[0]) {
      case "get": case "gets":
        return this.#retrieve(words.slice(1), words[0] === "gets");
      case "set":
        if (!this.#lies("says STORED and stores nothing")) this.#put(key, data);
        return "STORED\r\n";
      case "add":
        if (item === undefined) this.#put(key, data);
        else if (this.#lies("stores what it says it refused")) this.#put(key, data);
        return item === undefined ? "STORED\r\n" : "NOT_STORED\r\n";
      case "cas":
        if (item === undefined) return "NOT_FOUND\r\n";
        if (item.cas !== Number(words[5])) return "EXISTS\r\n";
        this.#put(key, data);
        return "STORED\r\n";
      case "append":
        if (item === undefined) return "NOT_STORED\r\n";
        this.#put(key, item.text + data + (this.#lies("appends twice") ? data : ""));
        return "STORED\r\n";
      case "incr": {
        if (item === undefined) return "NOT_FOUND\r\n";
        this.#put(key, String(Number(item.text) + (this.#lies("increments twice") ? 2 : 1)));
        return `${this.#items.get(key)!.text}\r\n`;
      }
      case "delete":
        if (item !== undefined) this.#before.set(key, item.text);
        if (item !== undefined && this.#lies("says DELETED and keeps it")) return "DELETED\r\n";
        return this.#items.delete(key) ? "DELETED\r\n" : "NOT_FOUND\r\n";
      default:
        return "ERROR\r\n";
    }
  }

  #put(key: string, text: string): void {
    const old = this.#items.get(key);
    if (old !== undefined) this.#before.set(key, old.text);
    this.#items.set(key, { text, cas: ++this.#cas });
  }

  #retrieve(keys: string[], withCas: boolean): string {
    let answer = "";
    for (const key of keys) {
      const item = this.#items.get(key);
      let text = item?.text;
      if (text === undefined) {
        const old = this.#before.get(key);
        if (old === undefined || !this.#lies("brings a deleted key back")) continue;
        text = old;
      }
      if (this.#lies("misses a key that is there")) continue;
      if (this.#before.has(key) && this.#lies("shows the version before")) text = this.#before.get(key)!;
      if (text.length > 0 && this.#lies("flips a byte")) {
        const at = text.length >> 1;
        text = text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1);
      }
      if (this.#lies("answers another key's value")) text = [...this.#items.entries()].find(([other]) => other !== key)![1].text;
      answer += `VALUE ${key} 0 ${text.length}${withCas ? ` ${item?.cas ?? 1}` : ""}\r\n${text}\r\n`;
    }
    if (answer !== "" && keys.length > 1 && this.#lies("an error line among values")) {
      return `${answer}SERVER_ERROR backend failed\r\n`;
    }
    return `${answer}END\r\n`;
  }
}
