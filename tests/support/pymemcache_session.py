# An unmodified pymemcache (pure Python, text protocol, sends keys of a multi-get in one line) against the port given as
# argument: every call is checked, and the number of checks is printed. Ends with a traceback when one fails.
import os
import sys

from pymemcache.client.base import Client, PooledClient
from pymemcache.exceptions import MemcacheClientError, MemcacheIllegalInputError, MemcacheServerError

PORT = int(sys.argv[1])
PREFIX = "pymemcache:%d:" % os.getpid()
checks = 0


def check(got, expected, what):
    global checks
    checks += 1
    assert got == expected, "%s: got %r, expected %r" % (what, got, expected)


def fails(kind, call, what):
    global checks
    checks += 1
    try:
        got = call()
    except kind:
        return
    raise AssertionError("%s: got %r, expected %s" % (what, got, kind.__name__))


def session(client, tag):
    def key(name):
        return PREFIX + tag + name

    k = key("a")
    check(client.get(k), None, "get of a key never stored")
    check(client.set(k, b"text", noreply=False), True, "set")
    check(client.get(k), b"text", "get")
    check(client.add(k, b"x", noreply=False), False, "add of a present key")
    check(client.replace(k, b"y", noreply=False), True, "replace")
    check(client.append(k, b"z", noreply=False), True, "append")
    check(client.prepend(k, b"x", noreply=False), True, "prepend")
    check(client.get(k), b"xyz", "get after append and prepend")
    check(client.delete(k, noreply=False), True, "delete")
    check(client.delete(k, noreply=False), False, "delete of a missing key")
    check(client.replace(k, b"y", noreply=False), False, "replace of a missing key")

    # With noreply the next answer must belong to the next question.
    for count in range(50):
        client.set(k, b"%d" % count, noreply=True)
        check(client.get(k), b"%d" % count, "get after set noreply")
    client.delete(k, noreply=True)
    check(client.get(k), None, "get after delete noreply")
    client.add(k, b"1", noreply=True)
    client.incr(k, 5, noreply=True)
    client.append(k, b"0", noreply=True)
    check(client.get(k), b"60", "get after add, incr and append noreply")

    raw = bytes(range(256)) * 3 + b"\r\nEND\r\nVALUE x 0 1\r\n"
    check(client.set(k, raw, noreply=False, flags=4294967295), True, "set of bytes that look like replies")
    check(client.get(k), raw, "get of bytes that look like replies")
    large = os.urandom(100 * 1024)
    check(client.set(k, large, noreply=False), True, "set of 100 KiB")
    check(client.get(k), large, "get of 100 KiB")
    check(client.set(k, b"", noreply=False), True, "set of an empty value")
    check(client.get(k), b"", "get of an empty value")

    n = key("n")
    check(client.incr(n, 1), None, "incr of a missing key")
    client.set(n, b"18446744073709551615", noreply=False)
    check(client.incr(n, 1), 0, "incr over 64 bits")
    check(client.incr(n, 41), 41, "incr")
    check(client.decr(n, 42), 0, "decr below zero")
    client.set(n, b"text", noreply=False)
    fails(MemcacheClientError, lambda: client.incr(n, 1), "incr of text")

    many = {key("m%d" % i): b"value %d" % i for i in range(300)}
    check(client.set_many(many, noreply=False), [], "set_many")
    check(client.get_many(list(many) + [key("absent")]), many, "get_many of 300 and a missing one")
    check(client.delete_many(list(many), noreply=False), True, "delete_many")
    check(client.get_many(list(many)), {}, "get_many of deleted keys")

    c = key("c")
    client.set(c, b"one", noreply=False)
    value, token = client.gets(c)
    check(value, b"one", "gets")
    check(client.cas(c, b"two", token, noreply=False), True, "cas with the present token")
    check(client.cas(c, b"three", token, noreply=False), False, "cas with an old token")
    check(client.cas(key("none"), b"x", token, noreply=False), None, "cas of a missing key")
    both = client.gets_many([c, k])
    check(sorted(both), sorted([c, k]), "gets_many")
    check(client.cas(c, b"four", both[c][1], noreply=False), True, "cas with a token of gets_many")
    check(client.get(c), b"four", "get after cas")

    check(client.touch(c, 200, noreply=False), True, "touch")
    check(client.touch(key("none"), 200, noreply=False), False, "touch of a missing key")
    client.set(c, b"gone", expire=-1, noreply=False)
    check(client.get(c), None, "get of an expired key")
    fails(MemcacheServerError, lambda: client.set(c, b"x" * 2_000_000, noreply=False), "set of 2 MB")
    check(client.get(k), b"", "get after a refused set")
    fails(MemcacheIllegalInputError, lambda: client.get("k" * 251), "key of 251 bytes")
    check(client.version()[:1].isdigit(), True, "version")
    assert len(client.stats()) > 5
    client.quit()


session(Client(("127.0.0.1", PORT), connect_timeout=5, timeout=5), "plain:")
session(Client(("127.0.0.1", PORT), connect_timeout=5, timeout=5, no_delay=True), "nodelay:")
pooled = PooledClient(("127.0.0.1", PORT), max_pool_size=4, connect_timeout=5, timeout=5)
check(pooled.set(PREFIX + "p", b"1", noreply=False), True, "set through a pool")
check(pooled.get(PREFIX + "p"), b"1", "get through a pool")
print(checks, "checks")
