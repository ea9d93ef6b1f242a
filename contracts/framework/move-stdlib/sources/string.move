module std::string;

public struct String has copy, drop, store {
    bytes: vector<u8>,
}

const EInvalidUtf8: u64 = 1;

native fun internal_check_utf8(v: &vector<u8>): bool;

public fun utf8(bytes: vector<u8>): String {
    assert!(internal_check_utf8(&bytes), EInvalidUtf8);
    String { bytes }
}

public fun as_bytes(s: &String): &vector<u8> { &s.bytes }

public fun is_empty(s: &String): bool { s.bytes.is_empty() }

public fun length(s: &String): u64 { s.bytes.length() }

public fun append(s: &mut String, r: String) {
    let String { bytes } = r;
    s.bytes.append(bytes)
}
