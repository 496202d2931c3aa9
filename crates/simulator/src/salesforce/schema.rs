//! What object types and fields there are, and what a field takes.
//! May touch: its own definitions. Must not touch: records.

use super::cell::Cell;
use super::ids::RecordId;
use std::collections::HashMap;

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Id,
    Reference,
    Text,
    /// Text with proposals.
    Combobox,
    TextArea,
    /// More than 255 characters: not filterable, not sortable.
    LongText,
    Email,
    Phone,
    Url,
    Picklist,
    Multipicklist,
    Boolean,
    Int,
    Double,
    Currency,
    Percent,
    Date,
    DateTime,
}

impl Kind {
    /// `type` and `soapType` of a describe.
    pub(super) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Id => ("id", "tns:ID"),
            Self::Reference => ("reference", "tns:ID"),
            Self::Text => ("string", "xsd:string"),
            Self::Combobox => ("combobox", "xsd:string"),
            Self::TextArea | Self::LongText => ("textarea", "xsd:string"),
            Self::Email => ("email", "xsd:string"),
            Self::Phone => ("phone", "xsd:string"),
            Self::Url => ("url", "xsd:string"),
            Self::Picklist => ("picklist", "xsd:string"),
            Self::Multipicklist => ("multipicklist", "xsd:string"),
            Self::Boolean => ("boolean", "xsd:boolean"),
            Self::Int => ("int", "xsd:int"),
            Self::Double => ("double", "xsd:double"),
            Self::Currency => ("currency", "xsd:double"),
            Self::Percent => ("percent", "xsd:double"),
            Self::Date => ("date", "xsd:date"),
            Self::DateTime => ("datetime", "xsd:dateTime"),
        }
    }

    pub(super) const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Combobox
                | Self::TextArea
                | Self::LongText
                | Self::Email
                | Self::Phone
                | Self::Url
                | Self::Picklist
                | Self::Multipicklist
        )
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double | Self::Currency | Self::Percent)
    }

    pub(super) const fn is_id(self) -> bool {
        matches!(self, Self::Id | Self::Reference)
    }

    pub(super) const fn sortable(self) -> bool {
        !matches!(self, Self::LongText | Self::Multipicklist)
    }
}

/// Fields whose value is not among the stored ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Id,
    IsDeleted,
    MasterRecordId,
    CreatedDate,
    CreatedById,
    LastModifiedDate,
    LastModifiedById,
    Modstamp,
    /// First and last name, put together.
    PersonName,
}

/// One field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    /// Most characters of a text.
    pub(super) length: usize,
    /// Digits after the point.
    pub(super) scale: u32,
    pub(super) custom: bool,
    pub(super) createable: bool,
    pub(super) updateable: bool,
    pub(super) required: bool,
    pub(super) external_id: bool,
    pub(super) unique: bool,
    pub(super) case_sensitive: bool,
    /// The field may name a record in an upsert.
    pub(super) id_lookup: bool,
    /// Equal values are looked up, not searched for.
    pub(super) indexed: bool,
    pub(super) name_field: bool,
    /// Unknown choices are refused.
    pub(super) restricted: bool,
    pub(super) choices: Vec<String>,
    pub(super) default: Option<Cell>,
    pub(super) reference_to: Vec<String>,
    pub(super) relationship: Option<String>,
    pub(super) system: Option<System>,
}

impl Field {
    pub(super) fn new(name: &str, label: &str, kind: Kind, length: usize) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            kind,
            length,
            scale: 0,
            custom: false,
            createable: true,
            updateable: true,
            required: false,
            external_id: false,
            unique: false,
            case_sensitive: false,
            id_lookup: false,
            indexed: matches!(kind, Kind::Reference | Kind::Email | Kind::Phone),
            name_field: false,
            restricted: false,
            choices: Vec::new(),
            default: None,
            reference_to: Vec::new(),
            relationship: None,
            system: None,
        }
    }

    /// The value of the index: texts are compared without case, unless the field tells it apart.
    pub(super) fn key(&self, text: &str) -> String {
        if self.case_sensitive { text.to_owned() } else { text.to_lowercase() }
    }
}

/// One object type.
#[derive(Debug, Clone)]
pub(super) struct SObject {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) plural: String,
    pub(super) prefix: [u8; 3],
    pub(super) custom: bool,
    /// Seen by the Tooling API only.
    pub(super) tooling: bool,
    /// Read by everyone, written by nobody through the API.
    pub(super) fixed: bool,
    fields: Vec<Field>,
    by_name: HashMap<String, u16>,
    by_relationship: HashMap<String, u16>,
}

impl SObject {
    pub(super) fn new(name: &str, label: &str, plural: &str, prefix: [u8; 3]) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            plural: plural.to_owned(),
            prefix,
            custom: name.ends_with("__c"),
            tooling: false,
            fixed: false,
            fields: Vec::new(),
            by_name: HashMap::new(),
            by_relationship: HashMap::new(),
        }
    }

    /// Adds a field; one of the same name is replaced in its place.
    pub(super) fn put(&mut self, field: Field) -> u16 {
        let key = field.name.to_lowercase();
        let relationship = field.relationship.as_ref().map(|name| name.to_lowercase());
        let number = match self.by_name.get(&key) {
            Some(number) => {
                if let Some(slot) = self.fields.get_mut(usize::from(*number)) {
                    *slot = field;
                }
                *number
            }
            None => {
                let number = u16::try_from(self.fields.len()).unwrap_or(u16::MAX);
                self.fields.push(field);
                self.by_name.insert(key, number);
                number
            }
        };
        if let Some(relationship) = relationship {
            self.by_relationship.insert(relationship, number);
        }
        number
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (u16, &Field)> {
        self.fields.iter().enumerate().map(|(number, field)| (u16::try_from(number).unwrap_or(u16::MAX), field))
    }

    pub(super) fn field(&self, number: u16) -> Option<&Field> {
        self.fields.get(usize::from(number))
    }

    /// By name, upper and lower case alike.
    pub(super) fn find(&self, name: &str) -> Option<(u16, &Field)> {
        let number = match self.by_name.get(name) {
            Some(number) => *number,
            None => *self.by_name.get(&name.to_lowercase())?,
        };
        Some((number, self.field(number)?))
    }

    /// The reference field behind a relationship name (`Account`, `Contact__r`).
    pub(super) fn relationship(&self, name: &str) -> Option<(u16, &Field)> {
        let number = *self.by_relationship.get(&name.to_lowercase())?;
        Some((number, self.field(number)?))
    }

    pub(super) fn number(&self, name: &str) -> Option<u16> {
        self.find(name).map(|(number, _)| number)
    }
}

/// The place of an object type in the schema and in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectNo(pub(super) usize);

/// All object types.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    objects: Vec<SObject>,
    by_name: HashMap<String, ObjectNo>,
    by_prefix: HashMap<[u8; 3], ObjectNo>,
}

impl Schema {
    pub(super) fn add(&mut self, object: SObject) -> ObjectNo {
        let number = ObjectNo(self.objects.len());
        self.by_name.insert(object.name.to_lowercase(), number);
        self.by_prefix.insert(object.prefix, number);
        self.objects.push(object);
        number
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (ObjectNo, &SObject)> {
        self.objects.iter().enumerate().map(|(number, object)| (ObjectNo(number), object))
    }

    pub(super) fn get(&self, number: ObjectNo) -> Option<&SObject> {
        self.objects.get(number.0)
    }

    pub(super) fn get_mut(&mut self, number: ObjectNo) -> Option<&mut SObject> {
        self.objects.get_mut(number.0)
    }

    /// By name, upper and lower case alike.
    pub(super) fn find(&self, name: &str) -> Option<(ObjectNo, &SObject)> {
        let number = match self.by_name.get(name) {
            Some(number) => *number,
            None => *self.by_name.get(&name.to_lowercase())?,
        };
        Some((number, self.get(number)?))
    }

    /// The object type that an id belongs to.
    pub(super) fn of_id(&self, id: RecordId) -> Option<(ObjectNo, &SObject)> {
        let number = *self.by_prefix.get(&id.prefix())?;
        Some((number, self.get(number)?))
    }

    /// The next free key prefix of a custom object.
    pub(super) fn free_prefix(&self) -> [u8; 3] {
        let customs = self.objects.iter().filter(|o| o.custom).count();
        let digit = |n: usize| b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".get(n % 36).copied().unwrap_or(b'0');
        [b'a', digit(customs / 36), digit(customs)]
    }
}
