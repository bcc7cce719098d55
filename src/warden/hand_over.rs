//! Handing the listener over: from the process that becomes the script to the warden, by a message
//! (unix(7), `SCM_RIGHTS`) of the one form that the filter lets pass.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

use crate::jail::rule::HAND_OVER;
use crate::sys;

/// The end that sends.
#[derive(Debug)]
pub struct Sender(OwnedFd);

/// The end that receives.
#[derive(Debug)]
pub struct Receiver(OwnedFd);

/// Both ends.
///
/// # Errors
/// If there are no more descriptors.
pub fn pair() -> Result<(Receiver, Sender), Errno> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok((Receiver(ours), Sender(theirs)))
}

impl Sender {
    /// Sends a descriptor.
    ///
    /// # Errors
    /// Those of sendmsg(2).
    pub fn send(&self, descriptor: &OwnedFd) -> io::Result<()> {
        let descriptors = [descriptor.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&descriptors)];
        let flags = MsgFlags::from_bits_retain(HAND_OVER);
        let bytes = [IoSlice::new(b"l")];
        sys::uninterrupted(|| sendmsg::<()>(self.0.as_raw_fd(), &bytes, &message, flags, None))?;
        Ok(())
    }
}

impl Receiver {
    /// Waits for the descriptor.
    ///
    /// # Errors
    /// `UnexpectedEof` if the sender is gone without having sent it; those of recvmsg(2).
    pub fn receive(&self) -> io::Result<OwnedFd> {
        let mut byte = [0];
        let mut pieces = [IoSliceMut::new(&mut byte)];
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = loop {
            match recvmsg::<()>(self.0.as_raw_fd(), &mut pieces, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                received => break received?,
            }
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = control
                && let Some(descriptor) = descriptors.first()
            {
                return Ok(sys::own_descriptor(*descriptor));
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
