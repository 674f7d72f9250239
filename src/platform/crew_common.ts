// Processes of this same program that talk through the runtime's IPC channel: node:child_process, which Bun and Deno
// both supply. What is behind the ports is each adapter's.
import process from "node:process";
import { spawn, type SpawnOptions } from "node:child_process";
import { heirOf, messageOf } from "./host_common.ts";
import type { Channel, ChannelHandlers, Child } from "./platform.ts";

/** A child's descriptors: behind stdin, stdout, stderr and the channel the one by which it is given more, and the ports. */
export const HAND_FD = 4, FIRST_PORT_FD = 5;

type Started = { ok: true; child: Child } | { ok: false; reason: string };

/** Starts command; hand, if any, becomes its descriptor HAND_FD, and fds those from FIRST_PORT_FD on. */
export function startChild(command: readonly string[], hand: number | null, fds: readonly number[], handlers: ChannelHandlers): Started {
  return start(command, { stdio: ["ignore", 1, 2, "ipc", hand ?? "ignore", ...fds], serialization: "json" }, handlers);
}

/** Starts command to live on without us; it finds fds as a service manager would hand them over. */
export function startHeir(command: readonly string[], fds: readonly number[], handlers: ChannelHandlers): Started {
  // The watchdog's word is asked of whoever has our place, and no pid of ours is his.
  const { WATCHDOG_PID: _, ...others } = process.env;
  const env = { ...others, LISTEN_FDS: String(fds.length), LISTEN_PID: heirOf(process.pid) };
  return start(command, { stdio: ["ignore", 1, 2, ...fds, "ipc"], serialization: "json", detached: true, env }, handlers);
}

function start(command: readonly string[], options: SpawnOptions, handlers: ChannelHandlers): Started {
  try {
    const child = spawn(command[0]!, command.slice(1), options);
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
        give: () => false,
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
