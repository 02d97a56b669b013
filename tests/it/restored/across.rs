//! Between two servers, and with a second home.
