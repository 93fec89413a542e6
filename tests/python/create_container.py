"""Creates a container in an emulator of Azure Blob Storage, with the key that every emulator has.

Usage: create_container.py PORT NAME KEY
"""

import base64
import datetime
import hashlib
import hmac
import sys
import urllib.request

ACCOUNT = "devstoreaccount1"
VERSION = "2021-08-06"


def main() -> int:
    port, name, key = sys.argv[1:]
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": VERSION}
    told = "".join(f"{header}:{value}\n" for header, value in headers.items())
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + told + resource
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    headers["Content-Length"] = "0"
    url = f"http://127.0.0.1:{port}/{ACCOUNT}/{name}?restype=container"
    with urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers), timeout=5) as answer:
        return 0 if answer.status == 201 else 1


if __name__ == "__main__":
    sys.exit(main())
