//! TLS of the web clients: rustls over whatever carries its bytes. The certificate is not
//! judged (the sites are tested before they have a public one), only recorded.

use super::exchange::Failure;
use crate::fs::Sha256Digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// Takes any certificate whose key the server has.
#[derive(Debug)]
struct Unjudged(Arc<CryptoProvider>);

impl ServerCertVerifier for Unjudged {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection to the server at `address`; nothing is sent yet.
pub(super) fn connect(address: IpAddr) -> Result<ClientConnection, Failure> {
    let mut connection =
        ClientConnection::new(config()?, ServerName::from(address)).map_err(tls)?;
    connection.set_buffer_limit(None);
    Ok(connection)
}

/// The digest of the server's own certificate, once it has shown one.
pub(super) fn certificate(connection: &ClientConnection) -> Option<Sha256Digest> {
    connection.peer_certificates()?.first().map(Sha256Digest::of)
}

pub(super) fn tls(error: rustls::Error) -> Failure {
    Failure::Tls(error.to_string())
}

fn config() -> Result<Arc<ClientConfig>, Failure> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, Failure>> = OnceLock::new();
    CONFIG.get_or_init(|| make().map(Arc::new).map_err(tls)).clone()
}

fn make() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unjudged(provider)))
        .with_no_client_auth();
    // Each connection proves itself anew: a resumed one shows no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}
