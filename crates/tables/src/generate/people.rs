//! The countries of the messy tables: names, cities, and how phones are written there. Names are common ones and belong to
//! nobody; numbers are of the mobile ranges of each numbering plan (ITU national numbering plans) and are made up.

/// A country.
pub(super) struct Country {
    /// ISO 3166-1 alpha-2.
    pub code: &'static str,
    /// What people there write instead.
    pub word: &'static str,
    /// Country calling code.
    pub calling: &'static str,
    /// What is dialled before a national number.
    pub trunk: &'static str,
    /// First digits of mobile numbers, national.
    pub prefixes: &'static [&'static str],
    /// How many digits follow the first ones.
    pub rest: u32,
    /// The first of these digits is from here on, `span` digits wide.
    pub low: u64,
    pub span: u64,
    pub first: &'static [&'static str],
    pub last: &'static [&'static str],
    pub cities: &'static [&'static str],
    /// The family name comes first, without a space.
    pub joined: bool,
}

const SPANISH_FIRST: &[&str] = &[
    "José",
    "María",
    "Juan",
    "Lucía",
    "Carlos",
    "Sofía",
    "Andrés",
    "Valentina",
    "Jesús",
    "Camila",
    "Raúl",
    "Inés",
    "Martín",
    "Elena",
];
const SPANISH_LAST: &[&str] = &[
    "García",
    "Rodríguez",
    "Martínez",
    "López",
    "Hernández",
    "González",
    "Pérez",
    "Sánchez",
    "Ramírez",
    "Núñez",
    "Muñoz",
    "Díaz",
];
const PORTUGUESE_FIRST: &[&str] = &[
    "João",
    "Maria",
    "José",
    "Ana",
    "Antônio",
    "Mônica",
    "Luís",
    "Júlia",
    "Sérgio",
    "Conceição",
    "Fábio",
    "Letícia",
    "Otávio",
    "Inês",
];
const PORTUGUESE_LAST: &[&str] = &[
    "Silva",
    "Santos",
    "Oliveira",
    "Souza",
    "Araújo",
    "Gonçalves",
    "Conceição",
    "Magalhães",
    "Ferreira",
    "Simões",
    "Leão",
    "Pereira",
];
const ENGLISH_FIRST: &[&str] =
    &["James", "Mary", "Robert", "Patricia", "Michael", "Linda", "David", "Susan", "Emma", "Noah", "Olivia", "Zoë"];
const ENGLISH_LAST: &[&str] = &[
    "Smith", "Johnson", "Williams", "Brown", "Jones", "Miller", "Davis", "Wilson", "O'Neil", "Taylor", "Clark", "Moore",
];

#[rustfmt::skip]
pub(super) static COUNTRIES: [Country; 14] = [
    Country { code: "BR", word: "Brasil", calling: "55", trunk: "0", prefixes: &["119", "219", "319", "419", "519", "619", "719", "819"], rest: 8, low: 6, span: 4, first: PORTUGUESE_FIRST, last: PORTUGUESE_LAST, cities: &["São Paulo", "Rio de Janeiro", "Belo Horizonte", "Brasília"], joined: false },
    Country { code: "TW", word: "台灣", calling: "886", trunk: "0", prefixes: &["91", "92", "93", "95", "97", "98"], rest: 7, low: 0, span: 10, first: &["美玲", "志明", "淑芬", "俊傑", "雅婷", "家豪", "怡君", "建宏", "心怡", "宗翰"], last: &["陳", "林", "黃", "張", "李", "王", "吳", "劉", "蔡", "楊"], cities: &["臺北市", "高雄市", "臺中市", "臺南市"], joined: true },
    Country { code: "US", word: "USA", calling: "1", trunk: "", prefixes: &["212", "310", "415", "305", "617", "702", "206", "512"], rest: 7, low: 2, span: 8, first: ENGLISH_FIRST, last: ENGLISH_LAST, cities: &["New York", "Los Angeles", "Austin", "Seattle"], joined: false },
    Country { code: "MX", word: "México", calling: "52", trunk: "", prefixes: &["55", "33", "81"], rest: 8, low: 1, span: 7, first: SPANISH_FIRST, last: SPANISH_LAST, cities: &["Ciudad de México", "Guadalajara", "Monterrey"], joined: false },
    Country { code: "AR", word: "Argentina", calling: "54", trunk: "0", prefixes: &["11"], rest: 8, low: 2, span: 5, first: SPANISH_FIRST, last: SPANISH_LAST, cities: &["Buenos Aires", "Córdoba", "Rosario"], joined: false },
    Country { code: "ES", word: "España", calling: "34", trunk: "", prefixes: &["61", "62", "63", "65", "66", "67"], rest: 7, low: 0, span: 10, first: SPANISH_FIRST, last: SPANISH_LAST, cities: &["Madrid", "Barcelona", "Málaga"], joined: false },
    Country { code: "PT", word: "Portugal", calling: "351", trunk: "", prefixes: &["91", "93", "96"], rest: 7, low: 0, span: 10, first: PORTUGUESE_FIRST, last: PORTUGUESE_LAST, cities: &["Lisboa", "Porto", "Évora"], joined: false },
    Country { code: "FR", word: "France", calling: "33", trunk: "0", prefixes: &["61", "62", "66", "67", "68"], rest: 7, low: 0, span: 10, first: &["François", "Chloé", "Hélène", "Rémi", "Zoé", "Jérôme", "Anaïs", "Benoît", "Léa", "Gaëlle"], last: &["Martin", "Bernard", "Lefèvre", "Dupré", "Garçon", "Besançon", "Noël", "Moreau", "Béranger", "Roux"], cities: &["Paris", "Lyon", "Orléans"], joined: false },
    Country { code: "DE", word: "Deutschland", calling: "49", trunk: "0", prefixes: &["170", "171", "172", "173", "175"], rest: 7, low: 0, span: 10, first: &["Jürgen", "Käthe", "Björn", "Anneliese", "Günther", "Sören", "Ute", "Jörg", "Bärbel", "Max"], last: &["Müller", "Schäfer", "Weiß", "Schröder", "Köhler", "Großmann", "Krüger", "Böhm", "Vogel", "Jäger"], cities: &["München", "Köln", "Düsseldorf", "Berlin"], joined: false },
    Country { code: "ID", word: "Indonesia", calling: "62", trunk: "0", prefixes: &["812", "813", "821", "852"], rest: 8, low: 1, span: 9, first: &["Budi", "Siti", "Agus", "Dewi", "Eko", "Putri", "Rizky", "Wayan", "Ayu", "Joko"], last: &["Santoso", "Wijaya", "Lestari", "Saputra", "Hidayat", "Rahayu", "Nugroho", "Pratama", "Siregar", "Utami"], cities: &["Jakarta", "Surabaya", "Bandung"], joined: false },
    Country { code: "CN", word: "中国", calling: "86", trunk: "", prefixes: &["138", "139", "150", "159", "186", "188"], rest: 8, low: 0, span: 10, first: &["伟", "芳", "小明", "丽", "强", "敏", "静", "秀英", "杰", "娜"], last: &["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴"], cities: &["北京", "上海", "广州", "深圳"], joined: true },
    Country { code: "IN", word: "India", calling: "91", trunk: "0", prefixes: &["981", "982", "987", "990", "994"], rest: 7, low: 0, span: 10, first: &["Aarav", "Priya", "Rahul", "Ananya", "Vikram", "Deepa", "Sanjay", "Kavya", "Arjun", "Meera"], last: &["Sharma", "Patel", "Singh", "Reddy", "Iyer", "Gupta", "Nair", "Mehta", "Das", "Joshi"], cities: &["Mumbai", "Delhi", "Bengaluru"], joined: false },
    Country { code: "GB", word: "United Kingdom", calling: "44", trunk: "0", prefixes: &["71", "72", "73"], rest: 8, low: 1, span: 9, first: ENGLISH_FIRST, last: ENGLISH_LAST, cities: &["London", "Leeds", "Bristol"], joined: false },
    Country { code: "JP", word: "日本", calling: "81", trunk: "0", prefixes: &["90", "80"], rest: 8, low: 1, span: 9, first: &["さくら", "翔太", "陽菜", "健一", "美咲", "大輔", "結衣", "直樹", "葵", "蓮"], last: &["佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤"], cities: &["東京", "大阪", "名古屋"], joined: true },
];
