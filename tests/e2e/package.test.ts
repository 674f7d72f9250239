// The Debian package on a systemd of its own: it is installed, started, hangs and is started again, is stopped, removed
// and purged, and leaves nothing behind. This machine's own files and services are not touched.
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { run } from "../support/program.ts";
import { tandemPath } from "../support/tandem.ts";

const WORLD = resolve("tests/support/systemd_world.sh");

/** What happens there; each step says its name before what it prints. */
const STEPS = `
step() { echo "== $1"; }
# What dpkg, man and systemd keep for themselves is theirs.
files() { find /etc /usr/bin /usr/share /lib/systemd /run/tandem /var/lib -not -path '/var/lib/dpkg/*' -not -path '/var/lib/systemd/*' -not -path '/var/lib/private*' 2>/dev/null | sort; }
# Whatever forbids services on this machine, or makes dpkg slow, is none of that one's.
rm -f /usr/sbin/policy-rc.d /var/lib/man-db/auto-update
# Only the devices of the world are made up: a service cannot be given others.
for unit in tandem tandem-watch; do
  mkdir -p /run/systemd/system/$unit.service.d
  printf '[Service]\\nPrivateDevices=no\\n' > /run/systemd/system/$unit.service.d/world.conf
done
files > /tmp/before
step install; dpkg --force-unsafe-io -i /mnt/world/tandem.deb 2>&1 | tail -n 2; echo "code \${PIPESTATUS[0]}"; systemctl is-active tandem; systemctl is-enabled tandem
step verify; systemd-analyze verify /lib/systemd/system/tandem*.service /lib/systemd/system/tandem.socket; echo "code $?"
step files; man -w tandem; tandem version | head -n 1; tandem check /etc/tandem/tandem.toml; echo "code $?"
sed -i 's/11212/11312/; s/^#backups.*/backups = ["127.0.0.1:11313"]/' /etc/tandem/tandem.toml
memcached -u nobody -l 127.0.0.1 -p 11312 & one=$!
memcached -u nobody -l 127.0.0.1 -p 11313 & two=$!
step start; systemctl start tandem; echo "code $?"; systemctl is-active tandem; systemctl show -P StatusText tandem
sleep 0.5; tandem ping; echo "code $?"
step user; ps -o user:20= -p "$(systemctl show -P MainPID tandem)"
step directories; printf 'state_dir = "/var/lib/tandem"\\nlog_file = "/var/log/tandem/tandem.log"\\n' >> /etc/tandem/tandem.toml
sed -i 's|^listen.*|listen = ["127.0.0.1", "/run/tandem-sockets/clients"]|; s|^port|unix_mode = "666"\\nport|' /etc/tandem/tandem.toml
systemctl restart tandem; echo "code $?"; setpriv --reuid=nobody --clear-groups tandem ping /run/tandem-sockets/clients; echo "code $?"
step reload; echo 'slow = "1s"' >> /etc/tandem/tandem.toml; mv /var/log/tandem/tandem.log /var/log/tandem/old; systemctl reload tandem; echo "code $?"
for i in $(seq 50); do [ -s /var/log/tandem/tandem.log ] && break; sleep 0.1; done; cut -d ' ' -f 2- /var/log/tandem/tandem.log
echo 'tiemout = 1' >> /etc/tandem/tandem.toml; systemctl reload tandem 2>/dev/null; echo "code $?"; sed -i '$d' /etc/tandem/tandem.toml; systemctl is-active tandem
sed -i '1i lanes = 2' /etc/tandem/tandem.toml; systemctl reload tandem 2>/dev/null; echo "code $?"; sed -i '1d' /etc/tandem/tandem.toml
sed -i 's/slow = "1s"/slow = "2s"/; 1i admin = "off"' /etc/tandem/tandem.toml; systemctl reload tandem; echo "code $?"; sed -i '1d' /etc/tandem/tandem.toml
# A watchdog that would have bitten by now had the new process not taken over feeding it.
step successor; mkdir -p /run/systemd/system/tandem.service.d; printf '[Service]\\nWatchdogSec=1\\n' > /run/systemd/system/tandem.service.d/soon.conf; systemctl daemon-reload; systemctl restart tandem
pid=$(systemctl show -P MainPID tandem); systemctl kill --kill-who=main -s USR2 tandem
for i in $(seq 100); do now=$(systemctl show -P MainPID tandem); [ "$now" != $pid ] && break; sleep 0.1; done; sleep 3
systemctl is-active tandem; [ "$now" != $pid ] && [ "$(systemctl show -P MainPID tandem)" = "$now" ] && echo "its heir still"; systemctl show -P NRestarts tandem; tandem ping; echo "code $?"
step watch; systemctl start tandem-watch; echo "code $?"; cat /run/tandem/address
for i in $(seq 30); do [ "$(cat /run/tandem/address)" = 0 ] && break; sleep 0.1; done; cat /run/tandem/address
step supervised; pid=$(systemctl show -P MainPID tandem-watch); kill -9 $pid
for i in $(seq 30); do now=$(systemctl show -P MainPID tandem-watch); [ "$now" != $pid ] && [ "$now" != 0 ] && systemctl --quiet is-active tandem-watch && break; sleep 0.1; done
systemctl is-active tandem-watch; [ "$now" != $pid ] && echo "another process"; cat /run/tandem/address
step hang; pid=$(systemctl show -P MainPID tandem); kill -STOP $pid
for i in $(seq 60); do now=$(systemctl show -P MainPID tandem); [ "$now" != $pid ] && [ "$now" != 0 ] && systemctl --quiet is-active tandem && break; sleep 0.1; done
systemctl is-active tandem; [ "$now" != $pid ] && echo "another process"; tandem ping; echo "code $?"
step socket; systemctl stop tandem-watch tandem; systemctl start tandem.socket; systemctl is-active tandem; tandem ping --timeout 5000; echo "code $?"; systemctl is-active tandem
step upgrade; systemctl start tandem-watch; pid=$(systemctl show -P MainPID tandem); exec 3<> /dev/tcp/127.0.0.1/11211; dpkg --force-unsafe-io -i /mnt/world/tandem.deb 2>&1 | tail -n 1; echo "code \${PIPESTATUS[0]}"
systemctl is-active tandem; [ "$(systemctl show -P MainPID tandem)" != $pid ] && echo "another process"
# Who was connected is still served, by the process before.
printf 'mn\\r\\n' >&3; read -t 5 -r answer <&3; echo "$answer"; exec 3>&-
step remove; dpkg -r tandem 2>&1 | grep -v '^(Reading'; echo "code \${PIPESTATUS[0]}"; systemctl is-active tandem tandem-watch tandem.socket; ls /etc/tandem
step purge; dpkg -P tandem 2>&1 | grep -v '^(Reading'; echo "code \${PIPESTATUS[0]}"
kill $one $two; wait
files > /tmp/after
diff /tmp/before /tmp/after; echo "code $?"; ls -d /usr/lib/tandem /run/tandem* /run/private/tandem /var/lib/private/tandem /var/log/tandem /var/log/private/tandem 2>/dev/null
step end
`;

/** Why such a world cannot be made here, or "". */
function whyNot(): string {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "it needs root on Linux";
  for (const program of ["dpkg-deb", "unshare", "memcached"]) if (Bun.which(program) === null) return `${program} is missing`;
  if (!existsSync("/lib/systemd/systemd")) return "systemd is not installed";
  const dir = mkdtempSync(join(tmpdir(), "tandem-world-"));
  writeFileSync(join(dir, "run.sh"), "systemctl --version >/dev/null && echo here");
  const tried = world(dir);
  const said = existsSync(join(dir, "out")) ? readFileSync(join(dir, "out"), "utf8") : "";
  rmSync(dir, { recursive: true });
  return said.includes("here") ? "" : `systemd does not boot in namespaces here: ${tried.split("\n")[0]}`;
}

/** Runs dir/run.sh there; what went wrong before it began. */
function world(dir: string): string {
  const ran = spawnSync("unshare", ["-p", "-f", "-m", "-n", "-i", "-u", "-C", "--kill-child", "bash", WORLD, dir], {
    encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 300_000, killSignal: "SIGKILL",
  });
  return `${ran.stdout}${ran.stderr}`;
}

test("the package is installed, started, watched, stopped, removed and purged", async () => {
  const why = whyNot();
  if (why !== "") return console.log(`not run: ${why}`);
  const dir = mkdtempSync(join(tmpdir(), "tandem-package-"));
  try {
    // The binary under test is packaged, not built anew.
    const built = await run("scripts/package", ["--outdir", dir], { env: { TANDEM_BIN: tandemPath() } });
    expect([built.code, built.stdout]).toEqual([0, ""]);
    const name = readdirSync(dir).find((each) => /^tandem_.*\.deb$/.test(each))!;
    copyFileSync(join(dir, name), join(dir, "tandem.deb"));
    writeFileSync(join(dir, "run.sh"), STEPS);
    const before = world(dir);
    const out = readFileSync(join(dir, "out"), "utf8");
    const step = (named: string): string => new RegExp(`^== ${named}\\n([^]*?)(?=^== )`, "m").exec(out)?.[1] ?? `no step ${named}: ${before}${out}`;
    expect(step("install")).toMatch(/code 0\ninactive\ndisabled\n$/);
    expect(step("verify")).toBe("code 0\n");
    expect(step("files")).toMatch(/^\/usr\/share\/man\/man1\/tandem\.1\.gz\ntandem \d[^]*code 0\n$/);
    expect(step("start")).toMatch(/^code 0\nactive\nlistening on 127\.0\.0\.1:11211\n127\.0\.0\.1:11211: answers in [^]*\ncode 0\n$/);
    expect(step("user").trim()).toBe("tandem");
    expect(step("directories")).toMatch(/^code 0\n\/run\/tandem-sockets\/clients: answers [^]*\ncode 0\n$/);
    expect(step("reload")).toMatch(/^code 0\nINFO reloaded change="main: slow"\ncode 1\nactive\ncode 1\ncode 0\n$/);
    expect(step("successor")).toMatch(/^active\nits heir still\n0\n127\.0\.0\.1:11211: answers [^]*\ncode 0\n$/);
    expect(step("watch")).toBe("code 0\n1\n0\n");
    // A watch that died goes on with what the file says: nothing moves for it.
    expect(step("supervised")).toBe("active\nanother process\n0\n");
    expect(step("hang")).toMatch(/^active\nanother process\n127\.0\.0\.1:11211: answers [^]*\ncode 0\n$/);
    expect(step("socket")).toMatch(/^inactive\n127\.0\.0\.1:11211: answers [^]*\ncode 0\nactive\n$/);
    expect(step("upgrade")).toMatch(/code 0\nactive\nanother process\nMN\r?\n$/);
    expect(step("remove")).toMatch(/code 0\ninactive\ninactive\ninactive\ntandem\.toml\n$/);
    expect(step("purge")).toMatch(/code 0\ncode 0\n$/);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}, 400_000);
