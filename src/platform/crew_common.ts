// Processes of this same program that talk through the runtime's IPC channel: node:child_process, which Bun and Deno
// both supply. What is behind the ports is each adapter's.
import process from "node:process";
import { spawn } from "node:child_process";
import { messageOf } from "./host_common.ts";
import type { Channel, ChannelHandlers, Child } from "./platform.ts";

/** Where the ports begin among a child's descriptors: behind stdin, stdout, stderr and the channel. */
export const FIRST_PORT_FD = 4;

/** Starts command; fds become its descriptors from FIRST_PORT_FD on. */
export function startChild(
  command: readonly string[],
  fds: readonly number[],
  handlers: ChannelHandlers,
): { ok: true; child: Child } | { ok: false; reason: string } {
  try {
    const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", 1, 2, "ipc", ...fds], serialization: "json" });
    const { pid } = child;
    if (pid === undefined) {
      child.on("error", () => {});
      return { ok: false, reason: `${command[0]} cannot be started` };
    }
    let gone = false;
    const end = (code: number | null): void => {
      if (gone) return;
      gone = true;
      handlers.onGone(code);
    };
    child.on("message", (text) => {
      if (!gone) handlers.onText(String(text));
    });
    child.on("exit", (code) => end(code));
    child.on("error", () => end(null));
    return {
      ok: true,
      child: {
        pid,
        // A child that is about to be gone takes no more; that it is gone is told by itself.
        send: (text) => {
          if (!gone && child.connected) child.send(text, () => {});
        },
        kill: () => void child.kill("SIGKILL"),
      },
    };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
}

/** The channel to whoever started this process with startChild. */
export function parentChannel(handlers: ChannelHandlers): Channel | null {
  if (process.send === undefined) return null;
  let gone = false;
  process.on("message", (text) => {
    if (!gone) handlers.onText(String(text));
  });
  process.on("disconnect", () => {
    if (gone) return;
    gone = true;
    handlers.onGone(null);
  });
  return {
    send: (text) => {
      if (!gone && process.connected) process.send!(text, undefined, undefined, () => {});
    },
  };
}
