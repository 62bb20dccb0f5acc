//! Requests for whole URLs, as proxies want them (RFC 9112, 3.2.2): `GET http://host/path`.
//!
//! ureq knows tunnels only, which proxies refuse to port 80, and a path must begin with a slash
//! for it: it is asked for `/http://host/path`, and the slash is taken out on its way. What of
//! ureq is used here is not covered by its promises on versions.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

const BEFORE: &[u8] = b"GET /http://";
/// Where the slash is.
const SLASH: usize = 4;

/// Puts [`Through`] around every connection.
#[derive(Debug, Default)]
pub(super) struct WholeUrls;

#[derive(Debug)]
pub(super) struct Through<T>(T);

impl<In: Transport> Connector<In> for WholeUrls {
    type Out = Through<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Through<In>>, Error> {
        Ok(chained.map(Through))
    }
}

impl<T: Transport> Transport for Through<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    /// The head of a request is sent in one piece.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = self.0.buffers().output();
        if !output[..amount].starts_with(BEFORE) {
            return self.0.transmit_output(amount, timeout);
        }
        output.copy_within(SLASH + 1..amount, SLASH);
        self.0.transmit_output(amount - 1, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
