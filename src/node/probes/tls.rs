//! TLS 1.2 and 1.3 as far as a non-blocking socket lets it go. As the kubelet's probes, it asks nobody who the server is.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::stream::{Stop, Wire};

/// How an answer of HTTP without TLS begins.
const HTTP: &[u8] = b"HTTP/";

/// TLS in a connection.
#[derive(Debug)]
pub(super) struct Tls {
    connection: ClientConnection,
    /// The first bytes that came, as long as a record's head.
    first: Vec<u8>,
}

impl Tls {
    /// For a server of this name, which is sent to it; an address is not, as with Go's client.
    pub(super) fn new(host: &str) -> Result<Tls, String> {
        let nameless = ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let name = ServerName::try_from(host.to_owned()).unwrap_or(nameless);
        let made = config().and_then(|config| ClientConnection::new(Arc::new(config), name));
        Ok(Tls {
            connection: made.map_err(|error| worded(&error))?,
            first: Vec::new(),
        })
    }

    /// Makes the handshake and sends all of it.
    pub(super) fn send(&mut self, wire: Wire<'_>, unsent: &mut Vec<u8>) -> Result<(), Stop> {
        self.flush(wire)?;
        while self.connection.is_handshaking() {
            self.take_in(wire)?;
            self.flush(wire)?;
        }
        while !unsent.is_empty() {
            let count = self.connection.writer().write(unsent);
            unsent.drain(..count.map_err(Stop::writing)?);
            self.flush(wire)?;
        }
        Ok(())
    }

    /// Takes in once what has come, and gives all that it holds.
    pub(super) fn receive(&mut self, wire: Wire<'_>) -> Result<Vec<u8>, Stop> {
        let mut plain = Vec::new();
        let mut ended = self.hold(&mut plain)?;
        if plain.is_empty() && !ended {
            self.take_in(wire)?;
            self.flush(wire)?;
            ended = self.hold(&mut plain)?;
        }
        match plain.is_empty() && !ended {
            true => Err(Stop::Wait(crate::linux::reactor::Interest::Read)),
            false => Ok(plain),
        }
    }

    /// Whether there is no more to come: many servers end the connection without saying so in TLS.
    fn hold(&mut self, plain: &mut Vec<u8>) -> Result<bool, Stop> {
        match self.connection.reader().read_to_end(plain) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(true),
            Err(error) => Err(Stop::reading(error)),
        }
    }

    fn take_in(&mut self, wire: Wire<'_>) -> Result<(), Stop> {
        let mut seen = Seen {
            wire,
            first: &mut self.first,
        };
        let count = self.connection.read_tls(&mut seen).map_err(Stop::reading)?;
        if let Err(error) = self.connection.process_new_packets() {
            // The server is told why, if it still listens.
            let _ = self.flush(wire);
            return Err(match self.first == HTTP {
                true => Stop::PlainHttp,
                false => Stop::Failed(worded(&error)),
            });
        }
        match count == 0 && self.connection.is_handshaking() {
            true => Err(Stop::Failed("EOF".into())),
            false => Ok(()),
        }
    }

    fn flush(&mut self, mut wire: Wire<'_>) -> Result<(), Stop> {
        while self.connection.wants_write() {
            self.connection
                .write_tls(&mut wire)
                .map_err(Stop::writing)?;
        }
        Ok(())
    }
}

/// Remembers how it began.
struct Seen<'t> {
    wire: Wire<'t>,
    first: &'t mut Vec<u8>,
}

impl Read for Seen<'_> {
    fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        let count = self.wire.read(piece)?;
        let missing = HTTP.len() - self.first.len();
        self.first.extend_from_slice(&piece[..count.min(missing)]);
        Ok(count)
    }
}

fn config() -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// As Go words what people look for.
fn worded(error: &Error) -> String {
    match error {
        Error::InvalidMessage(_) => "tls: first record does not look like a TLS handshake".into(),
        Error::AlertReceived(alert) => format!("remote error: tls: {alert:?}"),
        other => format!("tls: {other}"),
    }
}

/// Believes every server: a probe asks whether it is well, not who it is.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Those that Go's client names.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme::*;
        vec![
            RSA_PSS_SHA256,
            ECDSA_NISTP256_SHA256,
            ED25519,
            RSA_PSS_SHA384,
            RSA_PSS_SHA512,
            RSA_PKCS1_SHA256,
            RSA_PKCS1_SHA384,
            RSA_PKCS1_SHA512,
            ECDSA_NISTP384_SHA384,
            ECDSA_NISTP521_SHA512,
        ]
    }
}
