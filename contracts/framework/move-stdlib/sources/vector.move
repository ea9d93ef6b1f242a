#[defines_primitive(vector)]
module std::vector;

public use fun std::string::utf8 as vector.to_string;

#[bytecode_instruction]
public native fun empty<Element>(): vector<Element>;
#[bytecode_instruction]
public native fun length<Element>(v: &vector<Element>): u64;
#[syntax(index)]
#[bytecode_instruction]
public native fun borrow<Element>(v: &vector<Element>, i: u64): &Element;
#[bytecode_instruction]
public native fun push_back<Element>(v: &mut vector<Element>, e: Element);
#[syntax(index)]
#[bytecode_instruction]
public native fun borrow_mut<Element>(v: &mut vector<Element>, i: u64): &mut Element;
#[bytecode_instruction]
public native fun pop_back<Element>(v: &mut vector<Element>): Element;
#[bytecode_instruction]
public native fun destroy_empty<Element>(v: vector<Element>);
#[bytecode_instruction]
public native fun swap<Element>(v: &mut vector<Element>, i: u64, j: u64);

const EIndexOutOfBounds: u64 = 0x20000;

public fun is_empty<Element>(v: &vector<Element>): bool { v.length() == 0 }

public fun append<Element>(lhs: &mut vector<Element>, mut other: vector<Element>) {
    let before = lhs.length();
    while (!other.is_empty()) lhs.push_back(other.pop_back());
    other.destroy_empty();
    // What was appended came last first: turn it round.
    let (mut low, mut high) = (before, lhs.length());
    while (low + 1 < high) {
        high = high - 1;
        lhs.swap(low, high);
        low = low + 1;
    }
}

public fun index_of<Element>(v: &vector<Element>, e: &Element): (bool, u64) {
    let mut i = 0;
    while (i < v.length()) {
        if (&v[i] == e) return (true, i);
        i = i + 1;
    };
    (false, 0)
}

public fun contains<Element>(v: &vector<Element>, e: &Element): bool {
    let (found, _) = v.index_of(e);
    found
}

public fun remove<Element>(v: &mut vector<Element>, mut i: u64): Element {
    assert!(i < v.length(), EIndexOutOfBounds);
    while (i + 1 < v.length()) {
        v.swap(i, i + 1);
        i = i + 1;
    };
    v.pop_back()
}
