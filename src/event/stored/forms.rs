//! Says once what stands in a type, for writing and for reading.

/// A struct: all its fields, in the order in which they are stored.
macro_rules! stored_struct {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::event::stored::Stored for $type {
            fn write(&self, writer: &mut $crate::event::stored::Writer) {
                // Without `..`: a field that is not stored is an error here.
                let $type { $($field),* } = self;
                $($crate::event::stored::Stored::write($field, writer);)*
            }

            fn read(
                reader: &mut $crate::event::stored::Reader<'_>,
            ) -> Result<$type, $crate::event::stored::Corrupt> {
                Ok($type { $($field: $crate::event::stored::Stored::read(reader)?),* })
            }
        }
    };
}

/// An enum: the number of each variant, which stays for ever, and its parts.
macro_rules! stored_enum {
    ($type:ident {
        $($number:literal => $variant:ident $(( $($part:ident),* ))? $({ $($field:ident),* })?),* $(,)?
    }) => {
        impl $crate::event::stored::Stored for $type {
            fn write(&self, writer: &mut $crate::event::stored::Writer) {
                match self {
                    $($type::$variant $(( $($part),* ))? $({ $($field),* })? => {
                        writer.byte($number);
                        $($($crate::event::stored::Stored::write($part, writer);)*)?
                        $($($crate::event::stored::Stored::write($field, writer);)*)?
                    })*
                }
            }

            fn read(
                reader: &mut $crate::event::stored::Reader<'_>,
            ) -> Result<$type, $crate::event::stored::Corrupt> {
                Ok(match reader.byte()? {
                    $($number => $type::$variant
                        $(( $({
                            let $part = $crate::event::stored::Stored::read(reader)?;
                            $part
                        }),* ))?
                        $({ $($field: $crate::event::stored::Stored::read(reader)?),* })?,)*
                    _ => return Err($crate::event::stored::Corrupt::Not(stringify!($type))),
                })
            }
        }
    };
}

pub(crate) use {stored_enum, stored_struct};
