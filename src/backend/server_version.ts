// memcached's version as it tells it ("1.6.18"), where what a server can do hangs on it.

/** True when it is `least` (major, minor, patch) or newer; what is not a version is not. */
export function versionAtLeast(version: string, least: readonly [number, number, number]): boolean {
  const parts = version.split(/[.\-+ ]/).map(Number);
  for (let i = 0; i < least.length; i++) {
    const part = parts[i] ?? 0;
    if (part !== least[i]) return part > least[i]!;
  }
  return true;
}

/** The oldest of these versions: what may be counted on whichever server is asked; "" when none is known. */
export function oldestVersion(versions: Iterable<string>): string {
  let oldest = "", least: [number, number, number] = [Infinity, 0, 0];
  for (const version of versions) {
    if (version === "" || versionAtLeast(version, least)) continue;
    const [major = 0, minor = 0, patch = 0] = version.split(/[.\-+ ]/).map(Number);
    oldest = version;
    least = [major, minor, patch];
  }
  return oldest;
}
