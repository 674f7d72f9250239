// tandem drain and undrain on a running proxy under load: clients notice nothing, the drained server is not read, is
// written all the same, and may be restarted.
import { afterEach, expect, test } from "bun:test";
import { Client } from "../support/client.ts";
import { keeper } from "../support/keeper.ts";
import { freePort, label, spawnMemcached } from "../support/memcached.ts";
import { type Ended, run } from "../support/program.ts";
import { PATIENT, spawnTandem, tandemPath } from "../support/tandem.ts";

const { keep, stopAll } = keeper();
afterEach(stopAll);

/** No answer may take as long, however busy the machine, ms. */
const DEADLINE_MS = 20_000;

/** What memcached counted of one of its commands. */
async function counted(client: Client, name: string): Promise<number> {
  client.send("stats\r\n");
  for (let value = -1; ; ) {
    const line = await client.line(DEADLINE_MS);
    if (line === "END") return value;
    const found = /^STAT (\S+) (\d+)$/.exec(line);
    if (found?.[1] === name) value = Number(found[2]);
  }
}

/** Counts up and reads back without a pause until told to stop; every wrong or missing answer. */
function load(port: number, mark: string): { readonly wrong: string[]; operations: number; stop(): Promise<void> } {
  const told = { wrong: [] as string[], operations: 0, stop: async (): Promise<void> => {} };
  let going = true;
  const over = (async () => {
    const client = await Client.open(port);
    expect(await client.ask(`set n${mark} 0 0 1\r\n0\r\n`, DEADLINE_MS)).toBe("STORED");
    for (let n = 1; going; n++, told.operations += 3) {
      for (const [question, due] of [[`incr n${mark} 1\r\n`, String(n)], [`set k${mark} 0 0 ${String(n).length}\r\n${n}\r\n`, "STORED"]] as const) {
        const line = await client.ask(question, DEADLINE_MS);
        if (line !== due) told.wrong.push(`${question.trim()}: ${line}`);
      }
      client.send(`get k${mark}\r\n`);
      const [head, data] = [await client.line(DEADLINE_MS), await client.line(DEADLINE_MS)];
      if (data !== String(n) || (await client.line(DEADLINE_MS)) !== "END") told.wrong.push(`get k at ${n}: ${head} ${data}`);
    }
    client.close();
  })().catch((problem: unknown) => void told.wrong.push(String(problem)));
  told.stop = async () => {
    going = false;
    await over;
  };
  return told;
}

for (const workers of [1, 2]) {
  test(`the primary is drained, restarted, filled and put back: not an error, with ${workers} worker${workers > 1 ? "s" : ""}`, async () => {
    const primary = await keep(spawnMemcached());
    const backup = await keep(spawnMemcached());
    const admin = `127.0.0.1:${await freePort()}`;
    const tandem = await keep(spawnTandem(["-s", label(primary), "-b", label(backup), "--admin", admin, "--workers", String(workers), "--verify", "off", "--scrub", "0", ...PATIENT]));
    const command = (...args: string[]): Promise<Ended> => run(tandemPath(), [...args, "--admin", admin]);
    const loads = [load(tandem.port, "a"), load(tandem.port, "b")];
    const direct = await Client.open(primary.port);
    while ((await counted(direct, "cmd_get")) < 100);

    const drained = await command("drain", label(primary));
    expect([drained.code, drained.stderr]).toEqual([0, ""]);
    expect(drained.stdout).toMatch(new RegExp(`^${label(primary)} is drained: .*\\n${label(primary)} is quiet after \\d+ ms: `));
    const [gets, sets] = [await counted(direct, "cmd_get"), await counted(direct, "cmd_set")];
    // tandem's own notices are read there once a second and by each proxy, and with these flags nothing else of its own;
    // no client's key is, of which a third of all operations would be.
    const [before, began] = [loads[0]!.operations, performance.now()];
    const notices = (): number => 40 + (5 * (performance.now() - began)) / 1000;
    while (loads[0]!.operations - before < 6 * notices() && loads[0]!.wrong.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    expect((await counted(direct, "cmd_get")) - gets).toBeLessThan(notices());
    expect(await counted(direct, "cmd_set")).toBeGreaterThan(sets + 100);
    for (const place of [label(tandem), admin]) {
      expect((await run(tandemPath(), ["status", place])).stdout).toMatch(new RegExp(`^primary  ${label(primary)}  up, drained, quiet `, "m"));
    }
    direct.close();

    const from = tandem.log().length;
    await primary.stop();
    await tandem.said(/server is down/, from);
    await keep(spawnMemcached({ port: primary.port }));
    await tandem.said(/server is up .*role=primary/, from, 30_000);
    expect(await command("undrain", label(primary))).toMatchObject({ code: 0, stderr: "" });
    const again = await Client.open(primary.port);
    const read = await counted(again, "cmd_get");
    while ((await counted(again, "cmd_get")) < read + 100);
    again.close();
    for (const each of loads) {
      await each.stop();
      // A restart under way may leave the outcome of an incr open, which the client is told; reads and sets never fail.
      expect(each.wrong.filter((text) => !text.includes("outcome unknown"))).toEqual([]);
    }
  }, 120_000);
}

test("refused: without a server that could answer, without such a server, without a proxy, without a word", async () => {
  const primary = await keep(spawnMemcached());
  const backup = await keep(spawnMemcached());
  const admin = `127.0.0.1:${await freePort()}`;
  const tandem = await keep(spawnTandem(["-s", label(primary), "-b", label(backup), "--admin", admin]));
  await backup.stop();
  await tandem.said(/server is down/);
  const drain = (...args: string[]): Promise<Ended> => run(tandemPath(), ["drain", ...args]);
  expect(await drain(label(primary), "--admin", admin)).toMatchObject({ code: 1, stderr: `tandem: ${admin}: ${label(backup)} could not answer in its place: it is down\n` });
  expect(await drain("127.0.0.1:1", "--admin", admin)).toMatchObject({ code: 1, stderr: `tandem: ${admin}: no server 127.0.0.1:1; there are ${label(primary)}, ${label(backup)}\n` });
  const nobody = `127.0.0.1:${await freePort()}`;
  expect(await drain(label(primary), "--admin", nobody)).toMatchObject({ code: 3, stderr: `tandem: ${nobody}: nobody listens there\n` });
  expect((await drain()).code).toBe(2);
});
