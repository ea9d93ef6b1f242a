module sui::hex;

public fun encode(bytes: vector<u8>): vector<u8> {
    let digits = b"0123456789abcdef";
    let mut hex = vector[];
    let mut i = 0;
    while (i < bytes.length()) {
        hex.push_back(digits[(bytes[i] >> 4) as u64]);
        hex.push_back(digits[(bytes[i] & 15) as u64]);
        i = i + 1;
    };
    hex
}
