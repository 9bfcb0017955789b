"""Credentials made by other people's libraries, for the tests of authenticators.

credentials.py token ALGORITHM CLAIMS   a token of PyJWT, with the keys that verify it, as JSON
credentials.py tokens ALGORITHM CLAIMS... several tokens of one key, which verifies them, as JSON
credentials.py argon2 PASSWORD          a hash of the reference implementation, as Mosquitto 2.1 makes it
credentials.py scram USER PASSWORD      the client of a SCRAM-SHA-256 log-in: its messages on stdout, the server's on
                                        stdin, a line each; the last line says whether it trusts the server
"""

import json
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def private_key(algorithm):
    if algorithm.startswith(("RS", "PS")):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}[algorithm])


def tokens(algorithm, *claims):
    import jwt
    from jwt.algorithms import get_default_algorithms

    codec = get_default_algorithms()[algorithm]
    if algorithm.startswith("HS"):
        key, public = bytes(range(64)), bytes(range(64))
        pem = None
    else:
        key = private_key(algorithm)
        public = key.public_key()
        pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
    jwk = json.loads(codec.to_jwk(public))
    jwk.update(kid="made", use="sig", alg=algorithm)
    jwk.pop("key_ops", None)
    sign = lambda text: jwt.encode(json.loads(text), key, algorithm=algorithm, headers={"kid": "made"})
    made = [sign(text) for text in claims]
    print(json.dumps({"token": made[0], "tokens": made, "jwks": {"keys": [jwk]}, "pem": pem}))


def token(algorithm, claims):
    tokens(algorithm, claims)


def argon2(password):
    from argon2 import PasswordHasher

    print(PasswordHasher(time_cost=1, memory_cost=47104, parallelism=1, hash_len=64).hash(password))


def scram(user, password):
    from scramp import ScramClient
    from scramp.core import ScramException

    client = ScramClient(["SCRAM-SHA-256"], user, password)
    print(client.get_client_first(), flush=True)
    client.set_server_first(sys.stdin.readline().rstrip("\n"))
    print(client.get_client_final(), flush=True)
    try:
        client.set_server_final(sys.stdin.readline().rstrip("\n"))
        print("trusted", flush=True)
    except ScramException as error:
        print(error, flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
