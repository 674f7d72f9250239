// Asks the admin interface of a running proxy: one request on a connection of its own.
import { latin1, textOf } from "../bytes/ascii.ts";
import type { Address, CloseCause, Platform, Socket } from "../platform/platform.ts";
import { readAddress, type Place } from "./place.ts";
import type { Checked } from "../config/problem.ts";
import type { Flags } from "./parse.ts";
import { causeWords } from "./conversation.ts";

const TIMEOUT_MS = 5000;
const BYTES_MAX = 16 * 1024 * 1024;

/** How to reach it. */
export interface AdminDoor {
  readonly place: Place;
  /** "" when none is needed, as far as we know. */
  readonly token: string;
}

export type AdminAnswer =
  | { readonly ok: true; readonly status: number; readonly body: string }
  | { readonly ok: false; readonly reason: string };

/** From --admin, --admin-token-file and the environment. */
export function readAdminDoor(platform: Platform, flags: Flags): Checked<AdminDoor> {
  const place = readAddress(flags.one("admin"));
  if (!place.ok) return place;
  const token = readToken(platform, flags);
  return token.ok ? { ok: true, value: { place: place.value, token: token.value } } : token;
}

/** From --admin-token-file and the environment; "" when there is none. */
export function readToken({ host }: Platform, flags: Flags): Checked<string> {
  const file = flags.has("admin-token-file") ? flags.one("admin-token-file") : null;
  if (file === null) return { ok: true, value: host.env("TANDEM_ADMIN_TOKEN") ?? "" };
  const read = host.readText(file.text);
  if (!read.ok) return { ok: false, problem: { flag: file.flag, given: file.text, fault: `cannot be read (${read.reason})`, allowed: "a file with a token" } };
  return { ok: true, value: read.text.trim() };
}

/** What a person is told whose token was none, or the wrong one. */
export const WANTS_TOKEN = "wants a token, or another one: --admin-token-file, or TANDEM_ADMIN_TOKEN in the environment";

/** done is called once. path: with its query. */
export function askAdmin(platform: Platform, door: AdminDoor, method: "GET" | "POST", path: string, done: (answer: AdminAnswer) => void): void {
  const { address, label } = door.place;
  let over = false;
  let socket: Socket | null = null;
  let text = "";
  const end = (answer: AdminAnswer): void => {
    if (over) return;
    over = true;
    timer.cancel();
    attempt.abort();
    socket?.abort();
    done(answer.ok ? answer : { ok: false, reason: `${label}: ${answer.reason}` });
  };
  const ended = (cause: CloseCause): void => end(answerOf(text) ?? { ok: false, reason: text === "" ? causeWords(cause) : "does not speak HTTP" });
  const timer = platform.clock.timer(TIMEOUT_MS, () => end({ ok: false, reason: `does not answer within ${TIMEOUT_MS} ms` }));
  const attempt = platform.net.connect(address, TIMEOUT_MS, {
    onOpen: (opened) => {
      socket = opened;
      if (over) return opened.abort();
      const bytes = latin1(requestText(address, method, path, door.token));
      if (opened.write(bytes, 0, bytes.length) < bytes.length) end({ ok: false, reason: "takes nothing" });
    },
    onData: (bytes) => {
      text += textOf(bytes, 0, bytes.length);
      if (!text.startsWith("HTTP/1.".slice(0, text.length))) return end({ ok: false, reason: "does not speak HTTP: is it where clients connect?" });
      if (text.length > BYTES_MAX) end({ ok: false, reason: "answers without an end" });
      const answer = answerOf(text);
      if (answer !== null) end(answer);
    },
    onDrain: () => {},
    onEnd: () => ended("ended"),
    onClose: (cause) => ended(cause),
  });
}

function requestText(address: Address, method: string, path: string, token: string): string {
  const host = address.kind === "unix" ? "localhost" : address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
  const bearer = token === "" ? "" : `Authorization: Bearer ${token}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${bearer}Content-Length: 0\r\nConnection: close\r\n\r\n`;
}

/** A whole answer with a length, which our own interface always gives; null while there is none. */
function answerOf(text: string): AdminAnswer | null {
  const head = /^HTTP\/1\.[01] (\d{3})[^]*?\r\n\r\n/.exec(text);
  if (head === null) return null;
  const length = /\r\ncontent-length: *(\d+)/i.exec(head[0]);
  const body = text.slice(head[0].length);
  if (length === null || body.length < Number(length[1])) return null;
  if (head[1] === "401") return { ok: false, reason: WANTS_TOKEN };
  return { ok: true, status: Number(head[1]), body: body.slice(0, Number(length[1])) };
}
