module sui::display;

use std::string::String;
use sui::event;
use sui::package::Publisher;
use sui::vec_map::{Self, VecMap};

public struct Display<phantom T: key> has key, store {
    id: UID,
    fields: VecMap<String, String>,
    version: u16,
}

public struct DisplayCreated<phantom T: key> has copy, drop {
    id: ID,
}

public struct VersionUpdated<phantom T: key> has copy, drop {
    id: ID,
    version: u16,
    fields: VecMap<String, String>,
}

public fun new_with_fields<T: key>(
    pub: &Publisher,
    fields: vector<String>,
    values: vector<String>,
    ctx: &mut TxContext,
): Display<T> {
    let _ = pub;
    let id = object::new(ctx);
    event::emit(DisplayCreated<T> { id: id.to_inner() });
    let mut map = vec_map::empty();
    let mut i = 0;
    while (i < fields.length()) {
        map.insert(fields[i], values[i]);
        i = i + 1;
    };
    Display { id, fields: map, version: 0 }
}

public entry fun update_version<T: key>(display: &mut Display<T>) {
    display.version = display.version + 1;
    event::emit(VersionUpdated<T> {
        id: display.id.to_inner(),
        version: display.version,
        fields: display.fields,
    })
}

public fun version<T: key>(d: &Display<T>): u16 { d.version }

public fun fields<T: key>(d: &Display<T>): &VecMap<String, String> { &d.fields }
