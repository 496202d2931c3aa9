//! How alike two words are, without allocation: Jaro-Winkler, the sound of a word, one wrong digit.

/// Letters of a word that are looked at.
pub(super) const LETTERS: usize = 32;

/// A word's letters, at most [`LETTERS`].
pub(super) struct Letters {
    all: [char; LETTERS],
    count: usize,
}

impl Letters {
    const fn empty() -> Self {
        Self { all: ['\0'; LETTERS], count: 0 }
    }

    pub(super) fn of(word: &str) -> Self {
        let mut letters = Self::empty();
        word.chars().for_each(|c| letters.push(c));
        letters
    }

    fn push(&mut self, c: char) {
        if let Some(place) = self.all.get_mut(self.count) {
            *place = c;
            self.count += 1;
        }
    }

    pub(super) fn get(&self) -> &[char] {
        self.all.get(..self.count).unwrap_or_default()
    }

    /// How the word sounds, roughly and for many languages at once: `ph` is `f`, a silent `h` is nothing, `k q c`, `s z`,
    /// `i y` and `v w` are one, double letters are single.
    pub(super) fn sound(word: &str) -> Self {
        let mut letters = Self::empty();
        let mut rest = word.chars().peekable();
        while let Some(c) = rest.next() {
            let next = rest.peek().copied();
            let heard = match (c, next) {
                ('p', Some('h')) => 'f',
                ('c' | 's', Some('h')) => 'x',
                ('c', Some('e' | 'i' | 'y')) | ('z', _) => 's',
                ('c' | 'q' | 'k', _) => 'k',
                ('y', _) => 'i',
                ('w', _) => 'v',
                ('h', _) => continue,
                _ => c,
            };
            if letters.get().last() != Some(&heard) {
                letters.push(heard);
            }
        }
        letters
    }

    /// The first letter and the consonants after it, at most `most`: what typing errors rarely touch.
    pub(super) fn skeleton(word: &str, most: usize) -> Self {
        let sound = Self::sound(word);
        let mut letters = Self::empty();
        for (n, c) in sound.get().iter().copied().enumerate() {
            if letters.count < most && (n == 0 || !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u')) {
                letters.push(c);
            }
        }
        letters
    }
}

/// True when both words sound the same.
pub(super) fn sounds_alike(a: &str, b: &str) -> bool {
    let (a, b) = (Letters::sound(a), Letters::sound(b));
    !a.get().is_empty() && a.get() == b.get()
}

/// Jaro-Winkler, 0 to 1: 1 for equal words, more weight on the first four letters.
pub(super) fn jaro_winkler(a: &[char], b: &[char]) -> f64 {
    let jaro = jaro(a, b);
    if jaro <= 0.7 {
        return jaro;
    }
    let prefix = a.iter().zip(b).take(4).take_while(|(a, b)| a == b).count();
    jaro + 0.1 * prefix as f64 * (1.0 - jaro)
}

fn jaro(a: &[char], b: &[char]) -> f64 {
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
    // One bit a letter: a word has at most LETTERS of them.
    let (mut taken_a, mut taken_b) = (0_u32, 0_u32);
    for (i, x) in a.iter().take(LETTERS).enumerate() {
        let from = i.saturating_sub(reach);
        for (j, y) in b.iter().take(LETTERS).enumerate().take(i + reach + 1).skip(from) {
            if x == y && taken_b & (1 << j) == 0 {
                taken_a |= 1 << i;
                taken_b |= 1 << j;
                break;
            }
        }
    }
    let matches = taken_a.count_ones();
    if matches == 0 {
        return 0.0;
    }
    let matched = |word: &'_ [char], taken: u32| -> Letters {
        let mut kept = Letters::empty();
        word.iter().take(LETTERS).enumerate().filter(|(i, _)| taken & (1 << i) != 0).for_each(|(_, c)| kept.push(*c));
        kept
    };
    let (of_a, of_b) = (matched(a, taken_a), matched(b, taken_b));
    let moved = of_a.get().iter().zip(of_b.get()).filter(|(x, y)| x != y).count() / 2;
    let matches = f64::from(matches);
    (matches / a.len() as f64 + matches / b.len() as f64 + (matches - moved as f64) / matches) / 3.0
}

/// True when one letter more, less or other, or two neighbours that changed places, make one word the other.
pub(super) fn one_letter_off(a: &[char], b: &[char]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let same = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let (rest_short, rest_long) = (short.get(same..).unwrap_or_default(), long.get(same..).unwrap_or_default());
    match (rest_short, rest_long) {
        ([], []) => false,
        ([p, q, s @ ..], [r, t, l @ ..]) if p == t && q == r && s == l => true,
        ([_, s @ ..], [_, l @ ..]) if s == l => true,
        (s, [_, l @ ..]) => s == l,
        (_, []) => false,
    }
}

/// True when two different numbers differ by one wrong digit, or by two neighbours that changed places.
pub(super) fn one_digit_off(a: u64, b: u64) -> bool {
    let (mut x, mut y) = (a, b);
    let (mut wrong, mut at, mut pairs) = (0_u32, [0_u32; 2], [(0, 0); 2]);
    for place in 0..20 {
        let (p, q) = (x % 10, y % 10);
        if p != q {
            let n = wrong as usize;
            let (Some(where_), Some(pair)) = (at.get_mut(n), pairs.get_mut(n)) else { return false };
            (*where_, *pair) = (place, (p, q));
            wrong += 1;
        }
        (x, y) = (x / 10, y / 10);
    }
    let [first, second] = at;
    let [(p, q), (r, s)] = pairs;
    a.checked_ilog10() == b.checked_ilog10() && (wrong == 1 || (wrong == 2 && second == first + 1 && p == s && q == r))
}
