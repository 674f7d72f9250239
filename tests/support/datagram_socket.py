# A service manager's notification socket, or a log's: binds the datagram socket that is named ("@name" is abstract) and
# prints each datagram as a line of JSON.
import json
import socket
import sys

path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("\0" + path[1:] if path.startswith("@") else path)
print(json.dumps("bound"), flush=True)
while True:
    print(json.dumps(listener.recv(65536).decode()), flush=True)
