# An unmodified pylibmc (libmemcached, text protocol) against the port given as argument: every call is checked, and the
# number of checks is printed. When one fails, what failed is printed with how long after the start.
import os
import sys
import threading
import time
import traceback

import pylibmc

SERVER = "127.0.0.1:%s" % sys.argv[1]
PREFIX = "pylibmc:%d:" % os.getpid()
checks = 0
began = time.monotonic()


def check(got, expected, what):
    global checks
    checks += 1
    assert got == expected, "%s: got %r, expected %r" % (what, got, expected)


def key(name):
    return PREFIX + name


def session(client, tag):
    k = key(tag + "a")
    check(client.get(k), None, "get of a key never stored")
    check(client.set(k, "text"), True, "set")
    check(client.get(k), "text", "get")
    check(client.add(k, "x"), False, "add of a present key")
    check(client.replace(k, "y"), True, "replace")
    check(client.append(k, "z"), True, "append")
    check(client.prepend(k, "x"), True, "prepend")
    check(client.get(k), "xyz", "get after append and prepend")
    check(client.delete(k), True, "delete")
    check(client.delete(k), False, "delete of a missing key")
    check(client.add(k, "again"), True, "add of a missing key")
    check(client.replace(key(tag + "none"), "x"), False, "replace of a missing key")

    raw = bytes(range(256)) * 3 + b"\r\nEND\r\nVALUE x 0 1\r\n"
    check(client.set(k, raw), True, "set of bytes that look like replies")
    check(client.get(k), raw, "get of bytes that look like replies")
    check(client.set(k, ""), True, "set of an empty value")
    check(client.get(k), "", "get of an empty value")
    large = os.urandom(100 * 1024)
    check(client.set(k, large), True, "set of 100 KiB")
    check(client.get(k), large, "get of 100 KiB")
    check(client.set(k, {"a": [1, 2, None], "b": "ü"}), True, "set of a pickled object")
    check(client.get(k), {"a": [1, 2, None], "b": "ü"}, "get of a pickled object")

    n = key(tag + "n")
    check(client.set(n, 10), True, "set of a number")
    check(client.incr(n), 11, "incr")
    check(client.incr(n, 89), 100, "incr by 89")
    check(client.decr(n, 1), 99, "decr")
    check(client.decr(n, 1000), 0, "decr below zero")

    many = {key("%sm%d" % (tag, i)): "value %d" % i for i in range(300)}
    check(client.set_multi(many), [], "set_multi")
    check(client.get_multi(list(many) + [key(tag + "absent")]), many, "get_multi of 300 and a missing one")
    check(client.delete_multi(list(many)), True, "delete_multi")
    check(client.get_multi(list(many)), {}, "get_multi of deleted keys")

    c = key(tag + "c")
    client.set(c, "one")
    value, token = client.gets(c)
    check(value, "one", "gets")
    check(client.cas(c, "two", token), True, "cas with the present token")
    check(client.cas(c, "three", token), False, "cas with an old token")
    check(client.get(c), "two", "get after cas")

    check(client.set(c, "short", time=100), True, "set with a time to live")
    check(client.touch(c, 200), True, "touch")
    check(client.touch(key(tag + "none"), 200), False, "touch of a missing key")
    check(client.get(c), "short", "get after touch")
    long_key = key(tag) + "k" * (250 - len(key(tag)))
    check(client.set(long_key, "250"), True, "set of a key of 250 bytes")
    check(client.get(long_key), "250", "get of a key of 250 bytes")


for behaviors in ({}, {"cas": True, "tcp_nodelay": True}, {"cas": True, "no_block": True, "tcp_nodelay": True}):
    behaviors = dict(behaviors, cas=True)
    session(pylibmc.Client([SERVER], binary=False, behaviors=behaviors), "%d:" % len(behaviors))

failed = False


def in_thread(number):
    global failed
    try:
        session(pylibmc.Client([SERVER], binary=False, behaviors={"cas": True}), "t%d:" % number)
    except BaseException:  # the other threads go on: what they meet tells more
        failed = True
        print("thread %d, %.3f s after the start: %s" % (number, time.monotonic() - began, traceback.format_exc()))


threads = [threading.Thread(target=in_thread, args=(number,)) for number in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if failed:
    sys.exit(1)
stats = pylibmc.Client([SERVER], binary=False).get_stats()
assert len(stats) == 1 and len(stats[0][1]) > 5, stats
print(checks + 1, "checks")
