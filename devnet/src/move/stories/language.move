/// The language itself. Every public function is one story; the machine of the dev chain and Move's own VM both run
/// all of them. What a story is called says how it ends: `fails_…` stops by an abort or a fault, all others succeed.
module stories::language;

#[error]
const ETooSmall: vector<u8> = b"The number is too small";
#[error(code = 7)]
const EWithCode: vector<u8> = b"An error with a code of its own";

const BIG: u128 = 340282366920938463463374607431768211455;
const HUGE: u256 = 115792089237316195423570985008687907853269984665640564039457584007913129639935;
const HOME: address = @0xcafe;
const NAMES: vector<vector<u8>> = vector[b"one", b"two", b""];
const FLAGS: vector<bool> = vector[true, false, true];

public struct Point has copy, drop, store { x: u64, y: u64 }
public struct Line has copy, drop, store { from: Point, to: Point, name: vector<u8> }
public struct Boxed<T> has copy, drop, store { value: T }
public struct Pair<A, B> has copy, drop { first: A, second: B }

public enum Shape has copy, drop {
    Nothing,
    Circle { centre: Point, radius: u64 },
    Polygon(vector<Point>),
}
public enum Tree<T> has copy, drop { Leaf(T), Fork { left: vector<T>, right: vector<T> } }

// === numbers ===

public fun arithmetic_of_every_width() {
    assert!(200u8 + 55 == 255 && 255u8 - 255 == 0 && 15u8 * 17 == 255 && 255u8 / 2 == 127 && 255u8 % 16 == 15);
    assert!(65535u16 - 1 == 65534 && 255u16 * 257 == 65535);
    assert!(4294967295u32 / 65536 == 65535 && 4294967295u32 % 10 == 5);
    assert!(18446744073709551615u64 - 18446744073709551614 == 1);
    assert!(BIG / 3 == 113427455640312821154458202477256070485);
    assert!(HUGE % 1000 == 935 && HUGE / HUGE == 1);
}

public fun bits_of_every_width() {
    assert!(0xf0u8 | 0x0f == 0xff && 0xf0u8 & 0x3c == 0x30 && 0xffu8 ^ 0xaa == 0x55);
    assert!(1u8 << 7 == 128 && 255u8 << 4 == 240 && 255u8 >> 4 == 15);
    assert!(1u64 << 63 == 9223372036854775808 && (1u256 << 255) >> 255 == 1);
    assert!(0xffffu16 << 8 == 0xff00 && BIG >> 127 == 1);
}

public fun casts() {
    assert!((255u64 as u8) == 255 && (65535u256 as u16) == 65535 && (7u8 as u256) == 7);
    assert!((BIG as u256) + 1 == 1u256 << 128);
    assert!(((18446744073709551615u128 as u64) as u128) == 18446744073709551615);
}

public fun comparisons() {
    assert!(1u64 < 2 && 2u64 <= 2 && 3u64 > 2 && 3u64 >= 3 && 1u8 != 2 && !(1u16 == 2));
    assert!(true || fails_with_a_named_error_bool());
    assert!(!(false && fails_with_a_named_error_bool()));
}

public fun fails_by_overflow_of_u8() { let a = 255u8; let _ = a + 1; }
public fun fails_by_overflow_of_u64() { let a = 18446744073709551615u64; let _ = a + 1; }
public fun fails_by_overflow_of_u256() { let _ = HUGE + 1; }
public fun fails_by_a_product() { let a = 4294967296u64; let _ = a * a; }
public fun fails_below_zero() { let a = 1u64; let _ = a - 2; }
public fun fails_by_division() { let a = 0u64; let _ = 1 / a; }
public fun fails_by_remainder() { let a = 0u8; let _ = 1 % a; }
public fun fails_by_a_cast() { let a = 256u64; let _ = a as u8; }
public fun fails_by_a_shift() { let by = 64u8; let _ = 1u64 << by; }
public fun fails_by_a_shift_to_the_right() { let by = 8u8; let _ = 1u8 >> by; }

// === control ===

public fun loops() {
    let mut sum = 0;
    let mut i = 0;
    while (i < 100) {
        i = i + 1;
        if (i % 2 == 0) continue;
        if (i > 50) break;
        sum = sum + i;
    };
    assert!(sum == 625);
    let found = 'outer: loop {
        let mut j = 0;
        loop {
            j = j + 1;
            if (j * j > 200) break 'outer j;
        }
    };
    assert!(found == 15);
}

public fun recursion() {
    assert!(fibonacci(15) == 610);
    assert!(depth(200) == 200);
}

fun fibonacci(n: u64): u64 { if (n < 2) n else fibonacci(n - 1) + fibonacci(n - 2) }
fun depth(n: u64): u64 { if (n == 0) 0 else 1 + depth(n - 1) }

public fun fails_with_a_named_error() { assert!(1u64 > 2, ETooSmall); }
public fun fails_with_a_code() { abort EWithCode }
public fun fails_with_a_number() { abort 42 }
fun fails_with_a_named_error_bool(): bool { abort ETooSmall }

// === structs, references, copies ===

public fun copies_are_deep() {
    let a = Line { from: Point { x: 1, y: 2 }, to: Point { x: 3, y: 4 }, name: b"a" };
    let mut b = a;
    b.from.x = 10;
    b.name.push_back(98);
    let c = *&b;
    b.to.y = 40;
    assert!(a.from.x == 1 && a.name == b"a" && c.to.y == 4 && b.to.y == 40 && c.name == b"ab");
    assert!(a != b && a == copy a);
}

public fun references_reach_inside() {
    let mut lines = vector[
        Line { from: Point { x: 0, y: 0 }, to: Point { x: 1, y: 1 }, name: b"first" },
        Line { from: Point { x: 5, y: 5 }, to: Point { x: 6, y: 6 }, name: b"second" },
    ];
    let second = &mut lines[1];
    move_by(&mut second.to, 100);
    second.name.push_back(33);
    let x = &mut second.from.x;
    *x = *x + 1;
    assert!(lines[1].to.x == 106 && lines[1].from.x == 6 && lines[1].name == b"second!");
    assert!(lines[0].to.x == 1);
    let Line { from: Point { x, y: _ }, to, name } = lines.pop_back();
    assert!(x == 6 && to.y == 106 && name.length() == 7);
}

fun move_by(point: &mut Point, by: u64) {
    point.x = point.x + by;
    *&mut point.y = point.y + by;
}

public fun generics() {
    let mut boxed = Boxed { value: Boxed { value: 7u8 } };
    boxed.value.value = 8;
    assert!(unbox(unbox(boxed)) == 8);
    let pair = swap(Pair { first: 1u64, second: b"two" });
    assert!(pair.first == b"two" && pair.second == 1);
    assert!(sizes<u8>(&vector[1, 2, 3]) == 3 && sizes<Point>(&vector[]) == 0);
}

fun unbox<T>(boxed: Boxed<T>): T { let Boxed { value } = boxed; value }
fun swap<A, B>(pair: Pair<A, B>): Pair<B, A> { let Pair { first, second } = pair; Pair { first: second, second: first } }
fun sizes<T>(v: &vector<T>): u64 { v.length() }

// === enums ===

public fun enums() {
    let shapes = vector[
        Shape::Nothing,
        Shape::Circle { centre: Point { x: 1, y: 1 }, radius: 5 },
        Shape::Polygon(vector[Point { x: 0, y: 0 }, Point { x: 0, y: 4 }]),
    ];
    assert!(extent(&shapes[0]) == 0 && extent(&shapes[1]) == 10 && extent(&shapes[2]) == 2);
    let mut circle = shapes[1];
    grow(&mut circle);
    assert!(extent(&circle) == 12 && extent(&shapes[1]) == 10);
    assert!(circle != shapes[1] && shapes[0] == Shape::Nothing);
    match (circle) {
        Shape::Circle { centre: Point { x, y: _ }, radius } if (radius == 6) => assert!(x == 2),
        _ => abort 1,
    };
    let tree: Tree<u64> = Tree::Fork { left: vector[1], right: vector[2, 3] };
    assert!(leaves(tree) == 3 && leaves(Tree::Leaf(9u8)) == 1);
}

fun extent(shape: &Shape): u64 {
    match (shape) {
        Shape::Nothing => 0,
        Shape::Circle { radius, .. } => *radius * 2,
        Shape::Polygon(points) => points.length(),
    }
}

fun grow(shape: &mut Shape) {
    match (shape) {
        Shape::Circle { centre, radius } => {
            centre.x = centre.x + 1;
            *radius = *radius + 1;
        },
        _ => (),
    }
}

fun leaves<T: drop>(tree: Tree<T>): u64 {
    match (tree) { Tree::Leaf(_) => 1, Tree::Fork { left, right } => left.length() + right.length() }
}

// === constants and vectors ===

public fun constants() {
    assert!(HOME == @0xcafe && NAMES[1] == b"two" && NAMES[2].length() == 0 && FLAGS[2] && !FLAGS[1]);
    assert!(BIG == 0xffffffffffffffffffffffffffffffff);
}

public fun vectors() {
    let mut v = vector[3u64, 1, 2];
    v.push_back(4);
    v.swap(0, 3);
    assert!(v == vector[4, 1, 2, 3] && v.length() == 4 && v.pop_back() == 3);
    v.swap(0, 2);
    assert!(v == vector[2, 1, 4]);
    v.append(vector[9, 8]);
    let (found, at) = v.index_of(&9);
    let (missing, nowhere) = v.index_of(&77);
    assert!(found && at == 3 && !missing && nowhere == 0);
    assert!(v.contains(&8) && !v.contains(&0) && !v.is_empty());
    assert!(v.remove(1) == 1 && v == vector[2, 4, 9, 8]);
    *&mut v[0] = 0;
    assert!(v[0] == 0);
    vector<u8>[].destroy_empty();
    let nested = vector[vector[b"a"], vector[]];
    assert!(nested[0][0] == b"a" && nested[1].is_empty());
}

public fun fails_by_an_index() { let v = vector[1u8]; let _ = v[1]; }
public fun fails_by_an_empty_pop() { let mut v: vector<u64> = vector[]; v.pop_back(); }
public fun fails_by_a_swap() { let mut v = vector[1u8]; v.swap(0, 1); }
public fun fails_to_destroy_a_full_vector() { vector[1u8].destroy_empty(); }
public fun fails_to_remove_what_is_not_there() { let mut v = vector[1u8]; v.remove(1); }
