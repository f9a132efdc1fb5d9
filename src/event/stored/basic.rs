//! Numbers, texts, lists, and what may be missing.

use super::{Corrupt, Reader, Stored, Writer};
use crate::event::Hash;
use serde_json::value::RawValue;
use std::sync::Arc;

impl Stored for bool {
    fn write(&self, writer: &mut Writer) {
        writer.byte(u8::from(*self));
    }

    fn read(reader: &mut Reader<'_>) -> Result<bool, Corrupt> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Corrupt::Not("truth value")),
        }
    }
}

impl Stored for u8 {
    fn write(&self, writer: &mut Writer) {
        writer.byte(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<u8, Corrupt> {
        reader.byte()
    }
}

impl Stored for u32 {
    fn write(&self, writer: &mut Writer) {
        writer.number((*self).into());
    }

    fn read(reader: &mut Reader<'_>) -> Result<u32, Corrupt> {
        reader.narrow()
    }
}

impl Stored for u64 {
    fn write(&self, writer: &mut Writer) {
        writer.number(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<u64, Corrupt> {
        reader.number()
    }
}

/// Small ones of either sign are short.
impl Stored for i64 {
    fn write(&self, writer: &mut Writer) {
        writer.number(((self << 1) ^ (self >> 63)).cast_unsigned());
    }

    fn read(reader: &mut Reader<'_>) -> Result<i64, Corrupt> {
        let folded = reader.number()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }
}

impl Stored for i32 {
    fn write(&self, writer: &mut Writer) {
        i64::from(*self).write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<i32, Corrupt> {
        i64::read(reader)?.try_into().map_err(|_| Corrupt::TooLarge)
    }
}

impl Stored for Hash {
    fn write(&self, writer: &mut Writer) {
        writer.raw(&self.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Hash, Corrupt> {
        reader.raw(32)?.try_into().map(Hash).map_err(|_| Corrupt::Length)
    }
}

impl Stored for Box<str> {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Box<str>, Corrupt> {
        reader.text().map(Into::into)
    }
}

impl Stored for String {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<String, Corrupt> {
        reader.text().map(Into::into)
    }
}

impl Stored for Arc<str> {
    fn write(&self, writer: &mut Writer) {
        writer.shared_text(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Arc<str>, Corrupt> {
        reader.shared_text()
    }
}

impl Stored for &'static str {
    fn write(&self, writer: &mut Writer) {
        writer.word(self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<&'static str, Corrupt> {
        reader.word()
    }
}

impl Stored for Box<RawValue> {
    fn write(&self, writer: &mut Writer) {
        writer.text(self.get());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Box<RawValue>, Corrupt> {
        RawValue::from_string(reader.text()?.to_owned()).map_err(|_| Corrupt::Not("json"))
    }
}

impl<T: Stored> Stored for Box<T> {
    fn write(&self, writer: &mut Writer) {
        (**self).write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Box<T>, Corrupt> {
        T::read(reader).map(Box::new)
    }
}

/// Shared values that are no texts: written once.
impl<T: Stored + 'static> Stored for Arc<T> {
    fn write(&self, writer: &mut Writer) {
        writer.shared(self, T::write);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Arc<T>, Corrupt> {
        reader.shared(|reader| T::read(reader).map(Arc::new))
    }
}

impl<T: Stored + 'static> Stored for Arc<[T]> {
    fn write(&self, writer: &mut Writer) {
        writer.shared(self, write_list);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Arc<[T]>, Corrupt> {
        reader.shared(|reader| reader.list().map(Into::into))
    }
}

fn write_list<T: Stored>(list: &[T], writer: &mut Writer) {
    writer.number(list.len() as u64);
    list.iter().for_each(|item| item.write(writer));
}

impl<T: Stored> Stored for Vec<T> {
    fn write(&self, writer: &mut Writer) {
        write_list(self, writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Vec<T>, Corrupt> {
        reader.list()
    }
}

impl<T: Stored> Stored for Box<[T]> {
    fn write(&self, writer: &mut Writer) {
        write_list(self, writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Box<[T]>, Corrupt> {
        reader.list().map(Into::into)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write(&self, writer: &mut Writer) {
        writer.byte(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(writer);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Option<T>, Corrupt> {
        if bool::read(reader)? { T::read(reader).map(Some) } else { Ok(None) }
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
        self.1.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<(A, B), Corrupt> {
        Ok((A::read(reader)?, B::read(reader)?))
    }
}
