"""A device in another language: enrols by a token with an Ed25519 key, then renews, over EST (RFC 7030).

    est_client.py URL CA TOKEN

Nothing but Python's standard library, its package `cryptography`, and the RFC.
"""

import base64
import http.client
import ssl
import sys
import tempfile
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

url, ca, token = sys.argv[1:]
place = urllib.parse.urlparse(url)


def ask(method, operation, request=None, headers=None, shown=None):
    context = ssl.create_default_context(cafile=ca)
    if shown:
        context.load_cert_chain(shown)
    connection = http.client.HTTPSConnection(place.hostname, place.port, context=context)
    body = base64.encodebytes(request.public_bytes(serialization.Encoding.DER)) if request else None
    kind = {"Content-Type": "application/pkcs10"} if request else {}
    connection.request(method, "/.well-known/est/" + operation, body, {**kind, **(headers or {})})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, (answer.status, text)
    assert answer.headers["Content-Type"].startswith("application/pkcs7-mime"), answer.headers
    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(text))


def made(name):
    key = ed25519.Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName("gate.city.example")])
    return key, x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, False).sign(key, None)


trusted = {one.subject: one for one in ask("GET", "cacerts")}
key, request = made("gate")
basic = base64.b64encode(f"gate:{token}".encode()).decode()
[certificate] = ask("POST", "simpleenroll", request, {"Authorization": "Basic " + basic})
assert certificate.public_key() == key.public_key()
certificate.verify_directly_issued_by(trusted[certificate.issuer])
issuer = trusted[certificate.issuer]
issuer.verify_directly_issued_by(trusted[issuer.issuer])
assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
with tempfile.NamedTemporaryFile() as file:
    file.write(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write(key.private_bytes(serialization.Encoding.PEM, *form))
    file.flush()
    newer, request = made("gate")
    [renewed] = ask("POST", "simplereenroll", request, shown=file.name)
assert renewed.public_key() == newer.public_key() and renewed.subject == certificate.subject
assert renewed.serial_number != certificate.serial_number
print("enrolled and renewed", renewed.subject.rfc4514_string())
