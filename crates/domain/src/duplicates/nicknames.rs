//! Short and pet forms of given names. One form can stand for several names; two forms are related when they share one.
//! A list of common knowledge, not complete: what is missing only costs a reason.

/// Short form, the names it stands for. Sorted by the short form.
const FORMS: &[(&str, &[&str])] = &[
    ("abby", &["abigail"]),
    ("ale", &["alessandra", "alejandro", "alejandra", "alexandre", "alessandro"]),
    ("alex", &["alexander", "alexandre", "alexandra", "alejandro", "alejandra", "alexandros"]),
    ("andy", &["andrew", "andreas"]),
    ("bea", &["beatriz", "beatrice"]),
    ("bel", &["isabel", "isabela"]),
    ("ben", &["benjamin"]),
    ("bete", &["elisabete", "elizabete"]),
    ("beth", &["elizabeth"]),
    ("beto", &["roberto", "alberto", "humberto"]),
    ("betty", &["elizabeth"]),
    ("bia", &["beatriz"]),
    ("bill", &["william"]),
    ("billy", &["william"]),
    ("bob", &["robert"]),
    ("bobby", &["robert"]),
    ("cacau", &["claudia"]),
    ("cadu", &["carlos"]),
    ("carol", &["carolina", "caroline"]),
    ("cathy", &["catherine"]),
    ("charlie", &["charles"]),
    ("chico", &["francisco"]),
    ("chris", &["christopher", "christian", "christina", "christine"]),
    ("chuck", &["charles"]),
    ("cida", &["aparecida"]),
    ("cris", &["cristina", "cristiane", "cristiano"]),
    ("dan", &["daniel"]),
    ("dani", &["daniela", "daniele", "daniel"]),
    ("danny", &["daniel"]),
    ("dave", &["david"]),
    ("debbie", &["deborah"]),
    ("dick", &["richard"]),
    ("du", &["eduardo"]),
    ("duda", &["eduarda", "eduardo"]),
    ("dudu", &["eduardo"]),
    ("ed", &["edward", "edgar", "edmund"]),
    ("eddie", &["edward"]),
    ("edu", &["eduardo"]),
    ("fafa", &["fabiana", "fatima"]),
    ("fe", &["fernanda", "felipe"]),
    ("fer", &["fernanda", "fernando"]),
    ("fran", &["francisca", "francisco", "franciele"]),
    ("fred", &["frederick", "frederico"]),
    ("fritz", &["friedrich"]),
    ("gabi", &["gabriela", "gabriele"]),
    ("gigi", &["giovana", "gisele"]),
    ("gu", &["gustavo"]),
    ("gui", &["guilherme"]),
    ("guto", &["augusto", "gustavo"]),
    ("hank", &["henry"]),
    ("hans", &["johannes"]),
    ("harry", &["harold", "henry"]),
    ("isa", &["isabela", "isabel", "isadora"]),
    ("jack", &["john"]),
    ("jake", &["jacob"]),
    ("jen", &["jennifer"]),
    ("jenny", &["jennifer"]),
    ("jim", &["james"]),
    ("jimmy", &["james"]),
    ("jo", &["joana", "josefa", "joanna"]),
    ("joe", &["joseph"]),
    ("johnny", &["john"]),
    ("ju", &["juliana", "julia"]),
    ("juca", &["jose"]),
    ("juli", &["juliana", "juliane"]),
    ("kate", &["katherine", "catherine"]),
    ("kathy", &["katherine"]),
    ("katy", &["katherine"]),
    ("ken", &["kenneth"]),
    ("lala", &["larissa"]),
    ("lari", &["larissa"]),
    ("larry", &["lawrence"]),
    ("le", &["leticia", "leandro"]),
    ("leo", &["leonardo", "leandro", "leonard"]),
    ("liz", &["elizabeth"]),
    ("lola", &["dolores"]),
    ("lu", &["luciana", "lucia", "luiza"]),
    ("lucho", &["luis"]),
    ("lulu", &["luciana", "luiza"]),
    ("maggie", &["margaret"]),
    ("mandy", &["amanda"]),
    ("manu", &["manuela", "emanuela", "manuel"]),
    ("mari", &["mariana", "marina", "maria", "mariane"]),
    ("matt", &["matthew"]),
    ("max", &["maximilian", "maximiliano"]),
    ("meg", &["margaret"]),
    ("mel", &["melissa", "melanie"]),
    ("memo", &["guillermo"]),
    ("mick", &["michael"]),
    ("mike", &["michael"]),
    ("mila", &["camila"]),
    ("mimi", &["michele"]),
    ("nacho", &["ignacio"]),
    ("nanda", &["fernanda"]),
    ("nando", &["fernando"]),
    ("nat", &["natalie", "nathaniel"]),
    ("nati", &["natalia"]),
    ("neco", &["manoel"]),
    ("nene", &["irene"]),
    ("nick", &["nicholas"]),
    ("nico", &["nicolas"]),
    ("nina", &["antonina"]),
    ("paco", &["francisco"]),
    ("pancho", &["francisco"]),
    ("pat", &["patricia", "patrick"]),
    ("pati", &["patricia"]),
    ("patty", &["patricia"]),
    ("peggy", &["margaret"]),
    ("pepe", &["jose"]),
    ("pete", &["peter"]),
    ("phil", &["philip"]),
    ("pri", &["priscila"]),
    ("quique", &["enrique"]),
    ("rafa", &["rafael", "rafaela"]),
    ("ray", &["raymond"]),
    ("re", &["renata"]),
    ("ric", &["ricardo"]),
    ("rich", &["richard"]),
    ("rick", &["richard"]),
    ("ro", &["rodrigo", "rosana", "roberta"]),
    ("rob", &["robert"]),
    ("ron", &["ronald"]),
    ("rosi", &["rosangela", "rosilene", "roseli"]),
    ("sam", &["samuel", "samantha"]),
    ("sandy", &["sandra"]),
    ("sepp", &["josef"]),
    ("steve", &["steven", "stephen"]),
    ("sue", &["susan"]),
    ("susie", &["susan"]),
    ("tati", &["tatiana", "tatiane"]),
    ("ted", &["theodore", "edward"]),
    ("teo", &["teodoro"]),
    ("tim", &["timothy"]),
    ("tina", &["christina", "cristina"]),
    ("tom", &["thomas"]),
    ("tommy", &["thomas"]),
    ("tonho", &["antonio"]),
    ("toni", &["antonio"]),
    ("toninho", &["antonio"]),
    ("tony", &["anthony", "antonio"]),
    ("val", &["valeria", "valdirene", "valentina", "valerie"]),
    ("vi", &["vitoria", "vinicius"]),
    ("vicky", &["victoria"]),
    ("vini", &["vinicius"]),
    ("wes", &["wesley"]),
    ("will", &["william"]),
    ("xavi", &["xavier"]),
    ("xico", &["francisco"]),
    ("ze", &["jose"]),
    ("zeca", &["jose"]),
    ("zeze", &["jose", "maria"]),
    ("zezinho", &["jose"]),
];

/// The names that a short form stands for.
fn full(word: &str) -> &'static [&'static str] {
    let found = FORMS.binary_search_by(|(form, _)| (*form).cmp(word)).ok().and_then(|at| FORMS.get(at));
    found.map_or(&[], |(_, names)| names)
}

/// True when one is a form of the other, or both are forms of one name.
pub(super) fn related(a: &str, b: &str) -> bool {
    let (of_a, of_b) = (full(a), full(b));
    of_a.contains(&b) || of_b.contains(&a) || of_a.iter().any(|name| of_b.contains(name))
}

/// The first name that a form stands for, or the word itself: for keys, which need one answer.
pub(super) fn usual(word: &str) -> &str {
    full(word).first().copied().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_it_is_searched() {
        assert!(FORMS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn forms_of_one_name_are_related() {
        for (a, b, wanted) in [
            ("bob", "robert", true),
            ("robert", "bobby", true),
            ("bob", "rob", true),
            ("ze", "jose", true),
            ("bob", "john", false),
            ("maria", "maria", false),
        ] {
            assert_eq!((related(a, b), related(b, a)), (wanted, wanted), "{a} {b}");
        }
    }
}
