module std::option;

public struct Option<Element> has copy, drop, store {
    vec: vector<Element>,
}

const EIsNone: u64 = 0x40001;

public fun none<Element>(): Option<Element> { Option { vec: vector[] } }

public fun some<Element>(e: Element): Option<Element> { Option { vec: vector[e] } }

public fun is_none<Element>(t: &Option<Element>): bool { t.vec.is_empty() }

public fun is_some<Element>(t: &Option<Element>): bool { !t.vec.is_empty() }

public fun contains<Element>(t: &Option<Element>, e_ref: &Element): bool { t.vec.contains(e_ref) }

public fun borrow<Element>(t: &Option<Element>): &Element {
    assert!(t.is_some(), EIsNone);
    &t.vec[0]
}

public fun borrow_mut<Element>(t: &mut Option<Element>): &mut Element {
    assert!(t.is_some(), EIsNone);
    &mut t.vec[0]
}

public fun destroy_some<Element>(t: Option<Element>): Element {
    assert!(t.is_some(), EIsNone);
    let Option { mut vec } = t;
    let e = vec.pop_back();
    vec.destroy_empty();
    e
}
