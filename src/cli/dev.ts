// tandem dev: the proxy over two primaries and two backups that live in this same process, to try it on a machine that
// has nothing else. Everything is on 127.0.0.1 and is gone when it ends.
import { readPool } from "../config/flags.ts";
import type { Given, Problem } from "../config/problem.ts";
import { addressText, PORT_DEFAULT } from "../config/servers.ts";
import { Turn } from "../bytes/turn.ts";
import { MemoryServer } from "../embedded/server.ts";
import type { Address, ListenHandlers, ListenOptions } from "../platform/platform.ts";
import { openAdmin, tellAdmin } from "./admin.ts";
import { type Context, EXIT_FAILED, fail, failProblems } from "./context.ts";
import type { Flags } from "./parse.ts";
import { stopOnSignals } from "./serve.ts";
import { adminOf, logFormatOf, poolFlags, verbosityOf } from "./settings.ts";

const HOST = "127.0.0.1";
const SERVERS = ["primary 1", "primary 2", "backup 1", "backup 2"] as const;
/** How many ports after the default are tried before we give up. */
const PORTS_TRIED = 100;
const OPTIONS: ListenOptions = { backlog: 512, reusePort: false, unixMode: 0o700 };

export function dev(context: Context, flags: Flags): void {
  startServers(context, (servers) => {
    const port = flags.has("port") ? flags.number("port") : PORT_DEFAULT;
    const last = flags.has("port") ? port : port + PORTS_TRIED;
    findPort(context, port, last, (free) => startProxy(context, flags, servers, free));
  });
}

/** Starts the four embedded servers on free ports; then is given their addresses in the order of SERVERS. */
function startServers(context: Context, then: (addresses: string[]) => void): void {
  const { net, clock, random } = context.platform;
  const turn = new Turn((run) => context.platform.afterTurn(run));
  const addresses: string[] = [];
  const next = (): void => {
    if (addresses.length === SERVERS.length) return then(addresses);
    const server = new MemoryServer({ clock, random, turn });
    net.listen({ kind: "tcp", host: HOST, port: 0 }, OPTIONS, {
      onListening: (listener) => {
        addresses.push(addressText(listener.address));
        next();
      },
      onAccept: () => server.accept(),
      onClose: (cause, detail) => { fail(context, EXIT_FAILED, `dev: ${HOST}: cannot listen: ${cause} ${detail}`); },
    });
  };
  next();
}

/** The first of port … last on which we can listen. */
function findPort(context: Context, port: number, last: number, then: (port: number) => void): void {
  const { net, clock } = context.platform;
  const address: Address = { kind: "tcp", host: HOST, port };
  const handlers: ListenHandlers = {
    onListening: (listener) => {
      const free = listener.address.kind === "tcp" ? listener.address.port : port;
      listener.close();
      // A runtime may give the port back only after this turn.
      clock.timer(1, () => then(free));
    },
    // Nobody can know of this listener yet: whoever connects all the same is closed with it.
    onAccept: () => ({
      onOpen: (socket) => socket.abort(), onData: () => {}, onDrain: () => {}, onEnd: () => {}, onClose: () => {},
    }),
    onClose: (cause, detail) => {
      if (cause === "in_use" && port < last) findPort(context, port + 1, last, then);
      else fail(context, EXIT_FAILED, `-p ${port}: cannot listen on ${addressText(address)}: ${cause} ${detail}`.trimEnd());
    },
  };
  net.listen(address, OPTIONS, handlers);
}

function startProxy(context: Context, flags: Flags, servers: readonly string[], port: number): void {
  const given = (flag: string, texts: readonly string[]): Given[] => texts.map((text) => ({ flag, text }));
  const problems: Problem[] = [];
  const pool = readPool({
    ...poolFlags({ flags, name: "main", place: "-s" }, context.called),
    servers: given("-s", servers.slice(0, 2)),
    backups: given("-b", servers.slice(2)),
    listen: given("-l", [HOST]),
    port,
    portGiven: flags.one("port"),
    socket: null,
    unixMode: 0o700,
  }, problems);
  const admin = adminOf(flags, problems);
  if (problems.length > 0) return failProblems(context, problems);

  const { host } = context.platform;
  const log = context.openLog(verbosityOf(flags), logFormatOf(flags));
  const proxy = context.makeProxy({ pools: [pool] }, log);
  let ready = false;
  stopOnSignals(context, log, flags.number("drain"), () => (ready ? proxy : null), (code) => host.exit(code));
  proxy.start((outcome) => {
    if (!outcome.ok) fail(context, EXIT_FAILED, outcome.reason);
    openAdmin(context.platform, admin, { collect: (done) => proxy.collect(done), verbs: [] }, (opened) => {
      if (!opened.ok) fail(context, EXIT_FAILED, opened.reason);
      ready = true;
      tellAdmin(log, opened);
      host.stdout(introduction(port, servers, opened.admin === null ? "" : opened.place));
    });
  });
}

/** admin: where the admin interface listens, or "". */
function introduction(port: number, servers: readonly string[], admin: string): string {
  const rows = [`clients    ${HOST}:${port}`, ...SERVERS.map((name, i) => `${name.padEnd(10)} ${servers[i]}`)];
  if (admin !== "") rows.push(admin.startsWith("/") ? `admin      ${admin}` : `page       http://${admin}/`);
  return [
    "tandem dev: every key on one primary and on one backup, all four in this process",
    ...rows.map((row) => `  ${row}`),
    "Try it:",
    // bash alone, since a fresh Debian has no nc.
    `  bash -c 'exec 3<> /dev/tcp/${HOST}/${port}; printf "set a 0 0 1\\r\\n1\\r\\nget a\\r\\nquit\\r\\n" >&3; cat <&3'`,
    "",
  ].join("\n");
}
