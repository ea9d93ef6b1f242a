module sui::package;

use std::ascii::{Self, String};

public use fun burn_publisher as Publisher.burn;

public struct Publisher has key, store {
    id: UID,
    package: String,
    module_name: String,
}

/// Here without the names and without the look at the witness.
public fun claim<OTW: drop>(otw: OTW, ctx: &mut TxContext): Publisher {
    let _ = otw;
    Publisher {
        id: object::new(ctx),
        package: ascii::string(b""),
        module_name: ascii::string(b""),
    }
}

public fun burn_publisher(self: Publisher) {
    let Publisher { id, .. } = self;
    id.delete();
}
